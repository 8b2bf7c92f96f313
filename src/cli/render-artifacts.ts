import type { listArtifacts, listImages, StoreReport } from '../node/artifact-store.ts';
import { megabytes } from './megabytes.ts';
import { renderTable } from './table.ts';

type ExecutableState = Awaited<ReturnType<typeof listArtifacts>>[number];
type ImageState = Awaited<ReturnType<typeof listImages>>[number];

/** A line per executable, and what is there in all. */
export function renderExecutables(rows: readonly ExecutableState[]): string {
  const table = renderTable([
    ['COMPONENT', 'VERSION', 'ARCH', 'STATE', 'SIZE', 'BUILT BY', 'EXECUTABLE'],
    ...rows.map((row) => [
      row.component,
      row.version,
      row.arch,
      stateOf(row),
      row.sizeBytes === undefined ? '-' : megabytes(row.sizeBytes),
      row.builtFrom === undefined ? '-' : buildersOf(row.builtFrom),
      row.name,
    ]),
  ]);
  return `${table}\n${summaryOf(rows, 'executables')}\n`;
}

export function renderImages(rows: readonly ImageState[]): string {
  if (rows.length === 0) return 'There are no images here, and none is needed.\n';
  const table = renderTable([
    ['STATE', 'ARCH', 'SIZE', 'NEEDED', 'IMAGE'],
    ...rows.map((row) => [
      stateOf(row),
      row.arch,
      row.sizeBytes === undefined ? '-' : megabytes(row.sizeBytes),
      row.isWanted ? 'yes' : 'no',
      row.reference,
    ]),
  ]);
  return `${table}\n${summaryOf(rows, 'images')}\n`;
}

export function renderStoreReport(report: StoreReport): string {
  const { storeDir, problems, elapsedMs, isRepaired } = report;
  const seconds = (elapsedMs / 1000).toFixed(1);
  if (problems.length === 0) return `${storeDir} is sound (${seconds} s)\n`;
  const advice = isRepaired
    ? 'Removed. The next start, or mini-k8s artifacts fetch, gets what is needed of it.'
    : 'mini-k8s artifacts verify --repair removes what is damaged.';
  return [...problems, '', advice].map((line) => `${line}\n`).join('');
}

interface Row {
  readonly isPresent: boolean;
  readonly sizeBytes?: number;
}

function stateOf({ isPresent }: Row): string {
  return isPresent ? 'present' : 'missing';
}

function buildersOf(builtFrom: string): string {
  return builtFrom === 'source' ? 'us' : builtFrom;
}

function summaryOf(rows: readonly Row[], things: string): string {
  const present = rows.filter(({ isPresent }) => isPresent);
  const bytes = present.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
  return `${present.length} of ${rows.length} ${things} are there, ${megabytes(bytes)}`;
}
