import type { DiskUse } from './measure-disk.ts';
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
  const worker = result.workers.at(-1);
  if (worker !== undefined) {
    lines.push(
      `  controller's disk, MB: ${renderDisk(worker.controllerDisk)}`,
      `  worker's disk, MB: ${renderDisk(worker.disk)}`,
    );
  }
  return lines.length === 1 ? '' : lines.join('\n');
}

function renderDisk({ parts }: DiskUse): string {
  const inMegabytes = Object.entries(parts).map(([part, bytes]) => [part, bytes / 1e6]);
  return renderShares(Object.fromEntries(inMegabytes), { decimals: 1, least: 0.1 });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
