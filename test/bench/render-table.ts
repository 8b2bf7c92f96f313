import { alignColumns } from '../../src/cli/table.ts';
import { isWithinTarget, type Metric, metrics, summaryOf, type VariantResult } from './metrics.ts';

/** The results as a table: one line per metric, one column per configuration, target and verdict of the first. */
export function renderTable(results: readonly VariantResult[]): string {
  const [subject, baseline] = results;
  if (subject === undefined) return '';
  const header = [
    'metric',
    ...results.map(({ name }) => name),
    'target',
    '',
    ...(baseline === undefined ? [] : ['ratio']),
  ];
  const rows = metrics
    .filter((metric) => results.some((result) => metric.values(result).length > 0))
    .map((metric) => [
      metric.title,
      ...results.map((result) => renderValue(metric, result)),
      metric.target === undefined ? '' : `≤ ${metric.target} ${metric.unit}`,
      verdict(isWithinTarget(metric, summaryOf(metric, subject))),
      ...(baseline === undefined ? [] : [renderRatio(metric, subject, baseline)]),
    ]);
  return alignColumns([header, ...rows]).join('\n');
}

/** Names of the metrics of the first configuration that miss their target. */
export function missedTargets(result: VariantResult): readonly string[] {
  return metrics
    .filter((metric) => isWithinTarget(metric, summaryOf(metric, result)) === false)
    .map(({ title }) => title);
}

/** `12.3 s (11.9–14.0)`: the ends only where there are several runs. */
function renderValue(metric: Metric, result: VariantResult): string {
  const summary = summaryOf(metric, result);
  if (summary === undefined) return '–';
  const text = (value: number) => value.toFixed(metric.decimals);
  const range = summary.runs === 1 ? '' : ` (${text(summary.min)}–${text(summary.max)})`;
  return `${text(summary.median)} ${metric.unit}${range}`;
}

/** Ours divided by the baseline's: below 1 is less. */
function renderRatio(metric: Metric, subject: VariantResult, baseline: VariantResult): string {
  const ours = summaryOf(metric, subject);
  const theirs = summaryOf(metric, baseline);
  if (ours === undefined || theirs === undefined || theirs.median === 0) return '–';
  return (ours.median / theirs.median).toFixed(2);
}

function verdict(isWithin: boolean | undefined): string {
  if (isWithin === undefined) return '';
  return isWithin ? '✓' : '✗';
}

/** `kube-apiserver 2.9, kubelet 0.8`: the parts of a whole, the largest first, small ones left out. */
export function renderShares(
  shares: Readonly<Record<string, number>>,
  { decimals, least }: { readonly decimals: number; readonly least: number },
): string {
  return Object.entries(shares)
    .filter(([, value]) => value >= least)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${value.toFixed(decimals)}`)
    .join(', ');
}
