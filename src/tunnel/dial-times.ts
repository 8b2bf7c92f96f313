import type { MetricFamily } from '../base/exposition.ts';
import type { DialFailure } from './dial-target.ts';

/** kube-apiserver's buckets for the same thing, seconds: both can be laid over each other. */
const bucketSeconds = [0.005, 0.025, 0.1, 0.5, 2.5, 12.5] as const;

export type DialResult = 'ok' | DialFailure;

/** How long dials took, by what they were (`kind`: a handful of words) and how they ended. */
export interface DialTimes {
  /** A dial began; what it returns is for `end`. */
  begin(): number;
  end(kind: string, startedAt: number, failure?: DialFailure): void;
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

/** Counted in place: there is one for every dial, and nothing of it is to be collected. */
interface Counted extends DialSeries {
  readonly buckets: number[];
  count: number;
  seconds: number;
}

/** `monotonicMs`: a clock that only goes forward. */
export function createDialTimes(monotonicMs: () => number): DialTimes {
  const series: Counted[] = [];
  let pending = 0;
  const observe = (kind: string, result: DialResult, seconds: number) => {
    let known = series.find((one) => one.kind === kind && one.result === result);
    if (known === undefined) {
      known = { kind, result, buckets: bucketSeconds.map(() => 0), count: 0, seconds: 0 };
      series.push(known);
    }
    known.count += 1;
    known.seconds += seconds;
    for (let i = bucketSeconds.length - 1; i >= 0 && seconds <= (bucketSeconds[i] ?? 0); i -= 1) {
      known.buckets[i] = (known.buckets[i] ?? 0) + 1;
    }
  };
  return {
    begin: () => {
      pending += 1;
      return monotonicMs();
    },
    end: (kind, startedAt, failure) => {
      pending -= 1;
      observe(kind, failure ?? 'ok', (monotonicMs() - startedAt) / 1000);
    },
    read: () => ({
      pending,
      series: series.map((one) => ({ ...one, buckets: [...one.buckets] })),
    }),
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
