import { median } from '../statistics.ts';
import { measurements } from './measurements.ts';

/** One line of the table. */
export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly decimals: number;
  /** Of ours against Konnectivity's, or of ours alone; left out where a value is only reported. */
  readonly target?:
    | { readonly kind: 'ratio-at-least' | 'ratio-at-most'; readonly value: number }
    | { readonly kind: 'below'; readonly value: number };
}

/** Of one round: a number, or why there is none. */
export type Sample = number | { readonly problem: string };

/** The numbers that the tunnel stands by (docs/benchmarks.md), in the order of the table. */
export const metrics: readonly Metric[] = [
  throughput('down-1', '1 stream down', 1.4),
  throughput('up-1', '1 stream up', 1.1),
  throughput('both-8', '8 down + 8 up', 1.5),
  throughput('both-32', '32 down + 32 up', 1.5),
  throughput('rtt-down', '50 ms round trip, 1 stream down', 1.3),
  throughput('rtt-up', '50 ms round trip, 1 stream up', 1.3),
  latency('connect-p50', 'CONNECT + first byte, p50', 0.9),
  latency('connect-p99', 'CONNECT + first byte, p99', 1.5),
  latency('echo-p50', 'echo 64 B, p50', 0.8),
  latency('echo-p99', 'echo 64 B, p99'),
  latency('echo-bulk-p50', 'echo under bulk, p50'),
  latency('echo-bulk-p99', 'echo under bulk, p99', 0.5),
  stalled('stalled-1', '1 stalled reader: added to others’ p99'),
  stalled('stalled-100', '100 stalled readers: added to others’ p99'),
  {
    ...{ id: 'crowd', title: '1000 streams at once', unit: 's', decimals: 2 },
    target: { kind: 'ratio-at-most', value: 1 },
  },
  { id: 'crowd-first', title: 'the first of them', unit: 's', decimals: 2 },
  { id: 'server-memory', title: 'server, anonymous memory', unit: 'MiB', decimals: 0 },
  { id: 'agent-memory', title: 'agent, anonymous memory', unit: 'MiB', decimals: 0 },
  ...measurements.map(({ name }) => ({
    ...{ id: `cpu:${name}`, title: `processor time of both ends: ${name}` },
    ...{ unit: 's', decimals: 2 },
  })),
];

function throughput(id: string, title: string, value: number): Metric {
  return { id, title, unit: 'MB/s', decimals: 0, target: { kind: 'ratio-at-least', value } };
}

function latency(id: string, title: string, value?: number): Metric {
  const metric = { id, title, unit: 'ms', decimals: 2 };
  return value === undefined ? metric : { ...metric, target: { kind: 'ratio-at-most', value } };
}

function stalled(id: string, title: string): Metric {
  return { id, title, unit: 'ms', decimals: 1, target: { kind: 'below', value: 20 } };
}

/** What all rounds together say: the median, or the problem when most of them had one. */
export function summarizeSamples(samples: readonly Sample[]): Sample | undefined {
  const numbers = samples.filter((sample) => typeof sample === 'number');
  const problem = samples.find((sample) => typeof sample !== 'number');
  if (problem !== undefined && numbers.length * 2 <= samples.length) return problem;
  return numbers.length === 0 ? undefined : median(numbers);
}

export interface Verdict {
  /** Ours divided by theirs. */
  readonly ratio?: number;
  /** Left out without a target, or without enough to tell. */
  readonly isMet?: boolean;
}

export function judge(metric: Metric, ours?: Sample, theirs?: Sample): Verdict {
  if (ours === undefined) return {};
  if (typeof ours !== 'number') return metric.target === undefined ? {} : { isMet: false };
  const ratio = typeof theirs === 'number' && theirs > 0 ? ours / theirs : undefined;
  const base = ratio === undefined ? {} : { ratio };
  const { target } = metric;
  if (target === undefined) return base;
  if (target.kind === 'below') return { ...base, isMet: ours < target.value };
  // Where Konnectivity gives no answer at all, any answer is better.
  if (ratio === undefined) return theirs === undefined ? base : { isMet: true };
  const isMet = target.kind === 'ratio-at-least' ? ratio >= target.value : ratio <= target.value;
  return { ...base, isMet };
}
