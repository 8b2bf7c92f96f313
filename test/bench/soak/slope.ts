export interface Sample {
  readonly atMs: number;
  /** Anonymous memory. */
  readonly bytes: number;
  /** Of it, what JavaScript objects take. */
  readonly heapBytes: number;
}

/** What a process goes on warming up by; a leak is above it after a while, however small. */
const maxRiseBytes = 3 * 1024 * 1024;

/** Whether the line through the last two thirds of the samples is as good as level. Pure. */
export function isLevel(samples: readonly Sample[]): boolean {
  const counted = lastTwoThirds(samples);
  const minutes = ((counted.at(-1)?.atMs ?? 0) - (counted[0]?.atMs ?? 0)) / 60_000;
  return slopePerMinute(samples) * minutes <= maxRiseBytes;
}

/** Least squares over the last two thirds of the samples; bytes per minute. 0 for fewer than two. Pure. */
export function slopePerMinute(
  samples: readonly Sample[],
  what: 'bytes' | 'heapBytes' = 'bytes',
): number {
  const counted = lastTwoThirds(samples);
  const mean = (value: (sample: Sample) => number) =>
    counted.reduce((sum, sample) => sum + value(sample), 0) / counted.length;
  const meanAt = mean(({ atMs }) => atMs);
  const meanBytes = mean((sample) => sample[what]);
  let covariance = 0;
  let variance = 0;
  for (const sample of counted) {
    covariance += (sample.atMs - meanAt) * (sample[what] - meanBytes);
    variance += (sample.atMs - meanAt) ** 2;
  }
  return variance === 0 ? 0 : (covariance / variance) * 60_000;
}

function lastTwoThirds(samples: readonly Sample[]): readonly Sample[] {
  return samples.slice(Math.floor(samples.length / 3));
}
