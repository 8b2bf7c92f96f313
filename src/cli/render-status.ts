import type { NodeStatus } from '../node/status-types.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

type ComponentRow = NodeStatus['components'][number];

/** The status as a person reads it. */
export function renderStatus(status: NodeStatus, stream: OutputStream): string {
  const { node, supervisor } = status;
  const mark = (isGood: boolean) =>
    isGood ? paint(stream, 'green', '✓') : paint(stream, 'red', '✗');
  const source = supervisor.builtFrom === 'source' ? ', components built from source' : '';
  const stacks = status.stacks.filter(
    (stack) => stack.origin === 'user' || stack.state === 'Failed',
  );
  return [
    `${mark(node.isReady)} node ${node.name} (${node.role}, ${node.address})${node.isReady ? ' is Ready' : `: ${node.message}`}`,
    `  mini-k8s ${status.version}, Kubernetes ${status.kubernetesVersion}${source}; pid ${supervisor.pid}, up ${duration(Date.now() - Date.parse(supervisor.startedAt))}, ${mebibytes(supervisor.anonymousBytes)}`,
    '',
    ...table([
      ['COMPONENT', 'STATE', 'RESTARTS', 'MEMORY', 'LAST EXIT'],
      ...status.components.map((row) => [
        row.name,
        describeState(row),
        String(row.restartCount),
        mebibytes(row.anonymousBytes),
        describeLastExit(row),
      ]),
    ]),
    '',
    ...table([
      ['ADDON', 'READY'],
      ...status.addons.map((addon) => [addon.name, addon.isReady ? 'yes' : `no: ${addon.message}`]),
    ]),
    ...(stacks.length === 0
      ? []
      : [
          '',
          ...table([
            ['MANIFESTS', 'STATE'],
            ...stacks.map((stack) => [
              stack.name,
              `${stack.state}${stack.message === undefined ? ` (${stack.objects} objects)` : `: ${stack.message}`}`,
            ]),
          ]),
        ]),
    '',
    `${nextExpiry(status)}`,
    '',
  ].join('\n');
}

function describeState(row: ComponentRow): string {
  const { state } = row;
  switch (state.type) {
    case 'Waiting':
      return `${state.reason}: ${state.message}`;
    case 'Running':
      return `${state.ready ? 'Running' : 'Starting'}${state.pid === undefined ? '' : ` (pid ${state.pid})`}`;
    case 'Terminating':
      return 'Terminating';
    case 'Terminated':
      return `Terminated: ${state.termination.reason}`;
  }
}

function describeLastExit(row: ComponentRow): string {
  const last = row.lastTermination;
  if (last === undefined) return '';
  const how = last.signal === undefined ? `exit ${last.exitCode ?? '?'}` : last.signal;
  return `${how}, ${duration(Date.now() - last.finishedAt)} ago`;
}

function nextExpiry(status: NodeStatus): string {
  const lost = status.certificates.filter((entry) => !('daysLeft' in entry));
  const dated = status.certificates.flatMap((entry) => ('daysLeft' in entry ? [entry] : []));
  const [first] = dated.toSorted((a, b) => a.daysLeft - b.daysLeft);
  const problems = lost.map((entry) => `${entry.file} is ${entry.state}`);
  const expiry =
    first === undefined
      ? []
      : [`${first.name} expires first, in ${first.daysLeft} days (${first.notAfter})`];
  return `Certificates: ${[String(status.certificates.length), ...expiry, ...problems].join('; ')}.`;
}

function mebibytes(bytes: number | undefined): string {
  return bytes === undefined ? '' : `${Math.round(bytes / 1024 / 1024)} MiB`;
}

/** `3d4h`, `2h5m`, `7m10s`, `12s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [d, h, m, s] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d > 0) return `${d}d${h}h`;
  if (h > 0) return `${h}h${m}m`;
  return m > 0 ? `${m}m${s}s` : `${s}s`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_cell, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
