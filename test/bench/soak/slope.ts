export interface Sample {
  readonly atMs: number;
  /** Anonymous memory. */
  readonly bytes: number;
  /** Of it, what JavaScript objects take. */
  readonly heapBytes: number;
}

/** Least squares over the last two thirds of the samples; bytes per minute. 0 for fewer than two. Pure. */
export function slopePerMinute(
  samples: readonly Sample[],
  what: 'bytes' | 'heapBytes' = 'bytes',
): number {
  const counted = samples.slice(Math.floor(samples.length / 3));
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
