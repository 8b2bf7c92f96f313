import { describe, expect, it } from 'vitest';
import { clockProblem, passClockGate, releasedAtMs } from '../../../src/node/clock-gate.ts';
import type { NodeEvent } from '../../../src/node/events.ts';
import type { CertificateStatus } from '../../../src/pki/types.ts';

const missing: CertificateStatus = { name: 'etcd-server', file: '/p/e.crt', state: 'missing' };
const authority = (state: 'valid' | 'not-yet-valid'): CertificateStatus => ({
  name: 'ca',
  file: '/p/ca.crt',
  state,
  commonName: 'ca',
  notAfter: '2036-11-18T00:00:00.000Z',
  daysLeft: 3649,
});
const year1970 = 12_345;

describe('clockProblem', () => {
  it.each([
    [
      'a first start in 1970',
      year1970,
      [missing],
      /1970-01-01T00:00:12.345Z, and this release is newer/,
    ],
    ['a first start on a right clock', releasedAtMs, [missing], undefined],
    ['a later start in 1970', year1970, [authority('not-yet-valid')], undefined],
    [
      'a new certificate before its authority',
      releasedAtMs + 1,
      [authority('not-yet-valid'), missing],
      /and \/p\/ca.crt was made later/,
    ],
    ['a new certificate', releasedAtMs + 1, [authority('valid'), missing], undefined],
  ])('%s', (_what, now, statuses, expected) => {
    const problem = clockProblem(now, statuses);
    if (expected === undefined) expect(problem).toBeUndefined();
    else expect(problem).toMatch(expected);
  });
});

describe('passClockGate', () => {
  const gate = (now: number, signal = new AbortController().signal) => {
    const events: NodeEvent[] = [];
    const passed = passClockGate({
      clock: { now: () => now },
      readStatuses: async () => [missing],
      onEvent: (event) => events.push(event),
      signal,
      patienceMs: 0,
    });
    return { events, passed };
  };

  it('is open on a right clock', async () => {
    const { events, passed } = gate(releasedAtMs);
    await passed;
    expect(events).toEqual([]);
  });

  it('gives up with a fix when its patience is over', async () => {
    await expect(gate(year1970).passed).rejects.toMatchObject({
      name: 'UserError',
      what: 'make certificates',
      fix: expect.stringContaining('timedatectl'),
    });
  });
});
