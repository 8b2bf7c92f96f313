import type { VariantResult } from './metrics.ts';
import { renderShares } from './render-table.ts';

const MIB = 1024 ** 2;

/** Where time and memory of the last run went: the parts behind the table's numbers. */
export function renderDetails(result: VariantResult): string {
  const start = result.firstStarts.at(-1);
  const idle = result.idles.at(-1);
  const lines = [`${result.name}, last run:`];
  if (start !== undefined) {
    const milestones = start.milestones.map(
      ({ name, atMs, cpuMs }) => `${name} ${seconds(atMs)} (${seconds(cpuMs)} of CPU)`,
    );
    lines.push(
      `  first start: ${milestones.join(', ')}`,
      `  CPU seconds until all Ready: ${renderShares(start.cpuSecondsByProcess, { decimals: 2, least: 0.02 })}`,
      `  disk until all Ready: ${megabytes(start.readBytes)} read, ${megabytes(start.writtenBytes)} written`,
      ...start.timeline.map(({ atMs, text }) => `    ${seconds(atMs).padStart(7)}  ${text}`),
    );
  }
  if (idle !== undefined) {
    const memory = Object.fromEntries(
      Object.entries(idle.anonymousBytesByProcess).map(([name, bytes]) => [name, bytes / MIB]),
    );
    lines.push(
      `  anonymous MiB: ${renderShares(memory, { decimals: 1, least: 0.1 })}`,
      `  idle CPU %: ${renderShares(idle.cpuPercentByProcess, { decimals: 2, least: 0.01 })}`,
      `  memory with page cache: ${(idle.usageBytes / MIB).toFixed(0)} MiB, page cache ${(idle.pageCacheBytes / MIB).toFixed(0)} MiB, OOM kills ${idle.oomKills}`,
    );
  }
  return lines.length === 1 ? '' : lines.join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
