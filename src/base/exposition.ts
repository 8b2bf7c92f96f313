/** One metric with its samples; a family without samples is left out. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly samples: readonly MetricSample[];
}

interface MetricSample {
  /** After the family's name: `_bucket`. */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Media type of what `renderExposition` returns. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Prometheus' text format. Pure.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function renderExposition(families: readonly MetricFamily[]): string {
  return families
    .filter((family) => family.samples.length > 0)
    .map(
      (family) =>
        `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n${family.samples
          .map((sample) => renderSample(family.name, sample))
          .join('')}`,
    )
    .join('');
}

function renderSample(name: string, sample: MetricSample): string {
  const labels = Object.entries(sample.labels ?? {})
    .map(([label, value]) => `${label}="${escapeLabel(value)}"`)
    .join(',');
  return `${name}${sample.suffix ?? ''}${labels === '' ? '' : `{${labels}}`} ${sample.value}\n`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
