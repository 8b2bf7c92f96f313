import { expect, test } from 'vitest';
import { keepMemorySmall } from '../../../src/node/keep-memory-small.ts';

test('garbage is collected soon after the start, hourly in the end, and not when it ends', async () => {
  const abort = new AbortController();
  const seen: (number | 'collected')[] = [];
  const pauses = [20, 80, 320, 1280, 3600, 3600].map((seconds) => seconds * 1000);
  await keepMemorySmall(
    {
      collect: () => seen.push('collected'),
      sleep: async (ms) => {
        seen.push(ms);
        if (seen.length < 2 * pauses.length - 1) return;
        abort.abort();
        throw abort.signal.reason;
      },
    },
    abort.signal,
  );
  expect(seen).toEqual(pauses.flatMap((ms) => [ms, 'collected']).slice(0, -1));
});
