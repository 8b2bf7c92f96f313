import type { MetricFamily } from '../base/exposition.ts';
import type { DialFailure } from './dial-target.ts';

/** kube-apiserver's buckets for the same thing, seconds: both can be laid over each other. */
const bucketSeconds = [0.005, 0.025, 0.1, 0.5, 2.5, 12.5] as const;

export type DialResult = 'ok' | DialFailure;

/** How long dials took, by what they were (`kind`: a handful of words) and how they ended. */
export interface DialTimes {
  /** A dial began; the returned function is called once, when it is over. */
  start(kind: string): (failure?: DialFailure) => void;
  read(): DialCounters;
}

export interface DialCounters {
  readonly pending: number;
  readonly series: readonly DialSeries[];
}

interface DialSeries {
  readonly kind: string;
  readonly result: DialResult;
  /** Dials that took at most the bucket's seconds, each bucket with those before it. */
  readonly buckets: readonly number[];
  readonly count: number;
  readonly seconds: number;
}

/** `monotonicMs`: a clock that only goes forward. */
export function createDialTimes(monotonicMs: () => number): DialTimes {
  const series = new Map<string, DialSeries>();
  let pending = 0;
  const observe = (kind: string, result: DialResult, seconds: number) => {
    const key = `${kind} ${result}`;
    const known = series.get(key);
    series.set(key, {
      ...{ kind, result },
      buckets: bucketSeconds.map((le, i) => (known?.buckets[i] ?? 0) + (seconds <= le ? 1 : 0)),
      count: (known?.count ?? 0) + 1,
      seconds: (known?.seconds ?? 0) + seconds,
    });
  };
  return {
    start: (kind) => {
      const startedAt = monotonicMs();
      pending += 1;
      return (failure) => {
        pending -= 1;
        observe(kind, failure ?? 'ok', (monotonicMs() - startedAt) / 1000);
      };
    },
    read: () => ({ pending, series: [...series.values()] }),
  };
}

/** As a histogram. Pure. */
export function dialFamily(name: string, { series }: DialCounters): MetricFamily {
  return {
    name,
    help: 'Time of dials, by who dials and how they end.',
    type: 'histogram',
    samples: series.flatMap(({ kind, result, buckets, count, seconds }) => [
      ...bucketSeconds.map((le, i) => ({
        suffix: '_bucket',
        labels: { kind, result, le: String(le) },
        value: buckets[i] ?? 0,
      })),
      { suffix: '_bucket', labels: { kind, result, le: '+Inf' }, value: count },
      { suffix: '_sum', labels: { kind, result }, value: seconds },
      { suffix: '_count', labels: { kind, result }, value: count },
    ]),
  };
}

/** Under the name that Konnectivity's have. Pure. */
export function dialFailureFamily(name: string, { series }: DialCounters): MetricFamily {
  const counts = new Map<string, number>();
  for (const { result, count } of series) {
    if (result !== 'ok') counts.set(result, (counts.get(result) ?? 0) + count);
  }
  const samples = [...counts].map(([reason, value]) => ({ labels: { reason }, value }));
  return { name, help: 'Dials that failed.', type: 'counter', samples };
}
