import { expect, test } from 'vitest';
import { keepMemorySmall } from '../../../src/node/keep-memory-small.ts';

test('garbage is collected soon after the start, hourly after that, and not when it ends', async () => {
  const abort = new AbortController();
  const seen: (number | 'collected')[] = [];
  await keepMemorySmall(
    {
      collect: () => seen.push('collected'),
      sleep: async (ms) => {
        seen.push(ms);
        if (seen.length < 5) return;
        abort.abort();
        throw abort.signal.reason;
      },
    },
    abort.signal,
  );
  expect(seen).toEqual([20_000, 'collected', 3_600_000, 'collected', 3_600_000]);
});
