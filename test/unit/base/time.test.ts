import { describe, expect, it } from 'vitest';
import { sleep, untilAborted, waitFor } from '../../../src/base/time.ts';

const enough = AbortSignal.abort(new Error('enough'));

describe('waitFor', () => {
  it('returns the first value that is one', async () => {
    const answers = [undefined, false, 0, 7] as const;
    let asked = 0;
    const value = await waitFor(async () => answers[asked++], {
      subject: 'a number',
      timeoutMs: 60_000,
      intervalMs: 0,
    });
    expect([value, asked]).toEqual([0, 3]);
  });

  it('says what it waited for and what it saw last', async () => {
    const options = { subject: 'etcd', timeoutMs: 0 };
    await expect(waitFor(() => false, options)).rejects.toThrow(
      /^Timed out after 0 s waiting for etcd$/,
    );
    await expect(
      waitFor(() => undefined, { ...options, describe: () => 'no leader' }),
    ).rejects.toThrow('Timed out after 0 s waiting for etcd: no leader');
  });

  it('ends with the reason of its signal, and with what the probe throws', async () => {
    const options = { subject: 'etcd', timeoutMs: 1000 };
    await expect(waitFor(() => true, { ...options, signal: enough })).rejects.toThrow('enough');
    await expect(waitFor(() => Promise.reject(new Error('broken')), options)).rejects.toThrow(
      'broken',
    );
  });
});

it('sleep ends with the reason of its signal', async () => {
  await expect(sleep(60_000, enough)).rejects.toThrow('enough');
});

it('untilAborted resolves at the abort, also at one of before', async () => {
  await untilAborted(enough);
  const abort = new AbortController();
  const waiting = untilAborted(abort.signal);
  abort.abort();
  await waiting;
});
