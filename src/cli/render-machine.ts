import type { MachineCheck, MachineReport, RepairReport } from '../node/examine-machine.ts';
import { checkLines } from './check-lines.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** The report as a person reads it: a line per check, what is wrong with its reason and its mending. */
export function renderMachine(report: MachineReport, stream: OutputStream): string {
  const { checks, repairs } = report;
  const width = Math.max(...checks.map(({ probe }) => probe.length));
  const blocks = [
    [headline(report)],
    checks.flatMap((check) => checkLines(check, `${check.probe.padEnd(width)}  `, stream)),
    ...(repairs.length === 0 ? [] : [repairs.map((repair) => repairLine(repair, stream))]),
    [summary(checks, stream), ...hints(report)],
  ];
  return blocks.map((lines) => `${lines.join('\n')}\n`).join('\n');
}

function headline({ role, dataDir, isRunning, supervisorPid }: MachineReport): string {
  const pid = supervisorPid === undefined ? '' : ` (pid ${supervisorPid})`;
  const state = isRunning ? `mini-k8s runs${pid}` : 'mini-k8s does not run';
  return `This machine as a ${role} with data in ${dataDir}; ${state}`;
}

function repairLine({ outcome, what, why }: RepairReport, stream: OutputStream): string {
  switch (outcome) {
    case 'done':
      return `${paint(stream, 'green', 'done:')} ${what}`;
    case 'planned':
      return `would be done: ${what}`;
    case 'failed':
      return `${paint(stream, 'red', 'failed:')} ${what}: ${why ?? ''}`;
  }
}

function summary(checks: readonly MachineCheck[], stream: OutputStream): string {
  const count = (state: MachineCheck['state']) =>
    checks.filter((check) => check.state === state).length;
  const [failed, warnings, skipped] = [count('fail'), count('warn'), count('skipped')];
  const rest = [
    ...(warnings === 0 ? [] : [`${warnings} with a warning`]),
    ...(skipped === 0 ? [] : [`${skipped} not looked at`]),
  ].map((text) => `, ${text}`);
  if (failed === 0) return `Nothing failed: ${checks.length} checks${rest.join('')}.`;
  return paint(stream, 'red', `${failed} of ${checks.length} checks failed${rest.join('')}.`);
}

function hints({ checks, role, isRunning }: MachineReport): string[] {
  const needsRoot = checks.some(
    ({ state, why }) => state === 'skipped' && /\broot\b/.test(why ?? ''),
  );
  return [
    ...(needsRoot ? ['Root sees more: sudo mini-k8s doctor'] : []),
    ...(isRunning && role === 'worker'
      ? ['The way to the controllers: mini-k8s doctor --connectivity']
      : []),
  ];
}
