import type { BundleReport, VerificationReport } from '../node/bundle-report.ts';
import type { CreatedBundle } from '../node/create-bundle.ts';
import { megabytes } from './megabytes.ts';
import { renderTable } from './table.ts';

/** What is in the new bundle, and how it is used. */
export function renderCreated(bundle: CreatedBundle): string {
  const { path, sizeBytes, indexSha256, contents } = bundle;
  return [
    ...contents.map((content) => `  ${content}`),
    `${path}: ${megabytes(sizeBytes)}`,
    `use it with --bundle ${path} --trust-bundle ${indexSha256}`,
    '',
  ].join('\n');
}

/** A line per thing in the bundle, and what it is accepted by. */
export function renderBundle(report: BundleReport): string {
  const { entries, indexSha256, signedBy } = report;
  const table = renderTable([
    ['SIZE', 'WHAT', 'FILES'],
    ...entries.map(({ name, sizeBytes, files }) => [
      megabytes(sizeBytes),
      name,
      files.length === 0 ? '-' : files.join(', '),
    ]),
  ]);
  const signatures =
    signedBy.length === 0 ? ['not signed'] : signedBy.map((key) => `signed by ${key}`);
  return [`${table}`, ...signatures, `--trust-bundle ${indexSha256}`, ''].join('\n');
}

export function renderVerification(report: VerificationReport): string {
  const { path, problems, blobs, sizeBytes, elapsedMs, signedBy } = report;
  if (problems.length > 0) return [...problems, ''].join('\n');
  const seconds = (elapsedMs / 1000).toFixed(1);
  const signatures = signedBy.map((key) => `signed by ${key}`);
  const sound = `${path} is sound: ${blobs} blobs, ${megabytes(sizeBytes)} (${seconds} s)`;
  return [sound, ...signatures, ''].join('\n');
}
