import type { TunnelReport, TunnelReportRow } from '../node/tunnel-report.ts';
import { duration } from './duration.ts';
import { paint } from './paint.ts';
import { byteCount, milliseconds } from './quantities.ts';
import type { OutputStream } from './streams.ts';
import { table } from './table.ts';

/**
 * The tunnels as a person reads them: a row each, what matters most on the left, where a narrow terminal still shows it;
 * and below, in words, what is or was wrong.
 * @param nowMs milliseconds since the epoch.
 */
export function renderTunnelReport(
  report: TunnelReport,
  stream: OutputStream,
  nowMs: number,
): string {
  const { tunnels } = report;
  const isController = report.role === 'controller';
  if (tunnels.length === 0) {
    return isController
      ? `No worker is or was connected to ${report.node} (mini-k8s token create makes a token for one).\n`
      : `The tunnel agent of ${report.node} does not run (mini-k8s status says why).\n`;
  }
  const connected = tunnels.filter(({ isConnected }) => isConnected).length;
  const peers = isController ? 'nodes' : 'controllers';
  const sections = [
    [
      `Tunnels of ${report.node} (${report.role}): ${connected} of ${tunnels.length} ${peers} connected`,
    ],
    table(stream, [
      head(isController),
      ...tunnels.map((row) => cells(row, isController, nowMs)),
    ]).map((line) => paintMark(line, stream)),
    tunnels.flatMap((row) => problem(row, nowMs)),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n');
}

function head(isController: boolean): string[] {
  const common = ['SINCE', 'RTT', 'STREAMS', 'RECONNECTS', 'SENT', 'RECEIVED'];
  return isController ? ['  NODE', ...common, 'SITE', 'FROM'] : ['  CONTROLLER', ...common];
}

function cells(row: TunnelReportRow, isController: boolean, nowMs: number): string[] {
  const common = [
    `${row.isConnected ? '✓' : '✗'} ${row.peer}`,
    row.since === undefined ? '' : duration(nowMs - Date.parse(row.since)),
    milliseconds(row.rttMs),
    String(row.streams),
    String(row.reconnects),
    byteCount(row.bytesSent),
    byteCount(row.bytesReceived),
  ];
  return isController ? [...common, row.site ?? '', row.remoteAddress ?? ''] : common;
}

/** After the columns were measured: colours have no width. */
function paintMark(line: string, stream: OutputStream): string {
  const mark = line.charAt(2);
  if (mark !== '✓' && mark !== '✗') return line;
  return `  ${paint(stream, mark === '✓' ? 'green' : 'red', mark)}${line.slice(3)}`;
}

function problem(row: TunnelReportRow, nowMs: number): string[] {
  const { peer, isConnected, lastError, lastSeen, nextTry } = row;
  if (isConnected) return lastError === undefined ? [] : [`  ${peer}, before: ${lastError}`];
  const facts = [
    ...(lastSeen === undefined ? [] : [`last seen ${duration(nowMs - Date.parse(lastSeen))} ago`]),
    ...(lastError === undefined ? [] : [lastError]),
    ...(nextTry === undefined ? [] : [`next try in ${duration(Date.parse(nextTry) - nowMs)}`]),
  ];
  return [`  ${peer} is not connected${facts.length === 0 ? '' : `: ${facts.join('; ')}`}`];
}
