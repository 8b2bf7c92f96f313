import type { NodeStatus } from '../node/status-types.ts';
import { duration } from './duration.ts';
import { paint } from './paint.ts';
import { controllerRows, tunnelRows } from './render-tunnel.ts';
import type { OutputStream } from './streams.ts';
import { table } from './table.ts';

type ComponentRow = NodeStatus['components'][number];

/**
 * The status as a person reads it.
 * @param nowMs milliseconds since the epoch.
 */
export function renderStatus(status: NodeStatus, stream: OutputStream, nowMs: number): string {
  const sections = [
    nodeLines(status, stream, nowMs),
    componentTable(status, stream, nowMs),
    ...status.components.flatMap((row) => problemLines(row, nowMs)),
    table(stream, controllerRows(status, nowMs)),
    table(stream, tunnelRows(status, nowMs)),
    addonTable(status, stream),
    manifestTable(status, stream),
    status.certificates.length === 0 ? [] : [nextExpiry(status)],
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n');
}

function nodeLines(
  { node, supervisor, ...status }: NodeStatus,
  stream: OutputStream,
  nowMs: number,
) {
  const mark = node.isReady ? paint(stream, 'green', '✓') : paint(stream, 'red', '✗');
  const details = [
    `mini-k8s ${status.version}, Kubernetes ${status.kubernetesVersion}`,
    ...(supervisor.builtFrom === 'source' ? ['components built from source'] : []),
    ...(supervisor.kubeProxyMode === undefined
      ? []
      : [`kube-proxy uses ${supervisor.kubeProxyMode}`]),
    [
      `pid ${supervisor.pid}`,
      `up ${duration(nowMs - Date.parse(supervisor.startedAt))}`,
      mebibytes(supervisor.anonymousBytes),
      supervisor.dataDir,
    ].join(', '),
  ];
  const state = node.isReady ? ' is Ready' : `: ${node.message}`;
  return [
    `${mark} node ${node.name} (${node.role}, ${node.address})${state}`,
    ...details.map((text) => `  ${text}`),
  ];
}

function componentTable(status: NodeStatus, stream: OutputStream, nowMs: number): string[] {
  return table(stream, [
    ['COMPONENT', 'STATE', 'RESTARTS', 'MEMORY', 'LAST EXIT'],
    ...status.components.map((row) => [
      row.name,
      describeState(row),
      String(row.restartCount),
      mebibytes(row.anonymousBytes),
      describeLastExit(row, nowMs),
    ]),
  ]);
}

/** The last words of a component that is not running: on narrow terminals a table has no room for them. */
function problemLines(row: ComponentRow, nowMs: number): string[][] {
  const { state, lastTermination } = row;
  if (state.type !== 'Waiting') return [];
  if (state.reason === 'DependencyNotReady') return [[`  ${row.name}: ${state.message}`]];
  const why = lastTermination?.message ?? state.message;
  const retry =
    state.retryAt === undefined ? '' : `; next try in ${duration(state.retryAt - nowMs)}`;
  const words = row.lastOutput.slice(-shownLines).map((line) => `    ${line}`);
  return [[`  ${row.name}: ${why}${retry}`, ...words]];
}

/** Of the lines that are kept (`-o json` has all). */
const shownLines = 5;

function addonTable(status: NodeStatus, stream: OutputStream): string[] {
  return table(stream, [
    ['ADDON', 'READY'],
    ...status.addons.map((addon) => [addon.name, addon.isReady ? 'yes' : `no: ${addon.message}`]),
  ]);
}

/** Packaged stacks only where one failed: the addons above say the rest. */
function manifestTable(status: NodeStatus, stream: OutputStream): string[] {
  const stacks = status.stacks.filter(
    (stack) => stack.origin === 'user' || stack.state === 'Failed',
  );
  return table(stream, [
    ['MANIFESTS', 'STATE'],
    ...stacks.map((stack) => [
      stack.name,
      `${stack.state}${stack.message === undefined ? ` (${stack.objects} objects)` : `: ${stack.message}`}`,
    ]),
  ]);
}

function describeState({ state }: ComponentRow): string {
  switch (state.type) {
    case 'Waiting':
      return state.reason;
    case 'Running':
      return `${state.ready ? 'Running' : 'Starting'}${state.pid === undefined ? '' : ` (pid ${state.pid})`}`;
    case 'Terminating':
      return 'Terminating';
    case 'Terminated':
      return `Terminated: ${state.termination.reason}`;
  }
}

function describeLastExit(row: ComponentRow, nowMs: number): string {
  const last = row.lastTermination;
  if (last === undefined) return '';
  const how = last.signal === undefined ? `exit ${last.exitCode ?? '?'}` : last.signal;
  return `${how}, ${duration(nowMs - last.finishedAt)} ago`;
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
