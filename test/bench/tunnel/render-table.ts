import { judge, type Metric, metrics, type Sample, summarizeSamples } from './metrics.ts';

/** The samples of one side, by metric. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

/** Markdown: one line per metric that was measured. */
export function renderTable(ours: Samples, theirs: Samples): string {
  const rows = metrics
    .filter(({ id }) => ours.has(id) || theirs.has(id))
    .map((metric) => renderRow(metric, ours.get(metric.id), theirs.get(metric.id)));
  const header = ['metric', 'mini-k8s', 'Konnectivity', 'ratio', 'target', ''];
  return [header, header.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** Titles of the metrics that miss their target. */
export function missedTargets(ours: Samples, theirs: Samples): readonly string[] {
  return metrics
    .filter((metric) => verdictOf(metric, ours, theirs).isMet === false)
    .map(({ title }) => title);
}

function verdictOf(metric: Metric, ours: Samples, theirs: Samples) {
  const summary = (samples: Samples) => summarizeSamples(samples.get(metric.id) ?? []);
  return judge(metric, summary(ours), summary(theirs));
}

function renderRow(
  metric: Metric,
  ours: readonly Sample[] = [],
  theirs: readonly Sample[] = [],
): readonly string[] {
  const { ratio, isMet } = judge(metric, summarizeSamples(ours), summarizeSamples(theirs));
  return [
    metric.title,
    renderSamples(metric, ours),
    renderSamples(metric, theirs),
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
    renderTarget(metric),
    isMet === undefined ? '' : isMet ? 'met' : '**missed**',
  ];
}

/** `197 MB/s (151–217)`: the ends only where there are several. */
function renderSamples(metric: Metric, samples: readonly Sample[]): string {
  const summary = summarizeSamples(samples);
  if (summary === undefined) return '–';
  if (typeof summary !== 'number') return summary.problem;
  const text = (value: number) => value.toFixed(metric.decimals);
  const numbers = samples.filter((sample) => typeof sample === 'number');
  const range =
    numbers.length < 2 ? '' : ` (${text(Math.min(...numbers))}–${text(Math.max(...numbers))})`;
  const problems = samples.length - numbers.length;
  const note = problems === 0 ? '' : `, ${problems} of ${samples.length} rounds failed`;
  return `${text(summary)} ${metric.unit}${range}${note}`;
}

function renderTarget({ target, unit }: Metric): string {
  switch (target?.kind) {
    case undefined:
      return '';
    case 'below':
      return `< ${target.value} ${unit}`;
    case 'ratio-at-least':
      return `≥ ${target.value}×`;
    case 'ratio-at-most':
      return `≤ ${target.value}×`;
  }
}
