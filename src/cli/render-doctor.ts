import type { DoctorReport, DoctorState } from '../node/doctor-types.ts';
import { checkLines } from './check-lines.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** The report as a person reads it: a block per address, a line per check, what is wrong with its reason and its mending. */
export function renderDoctor(report: DoctorReport, stream: OutputStream): string {
  const addresses = [...new Set(report.checks.map(({ address }) => address))];
  const blocks = addresses.map((address) => {
    const checks = report.checks.filter((check) => check.address === address);
    return [
      paint(stream, 'bold', address),
      ...checks.flatMap((check) => checkLines(check, `${check.check.padEnd(11)} `, stream)),
    ];
  });
  const lines = [[`Controllers of ${report.source}`], ...blocks, [summary(report, stream)]];
  return lines.map((block) => `${block.join('\n')}\n`).join('\n');
}

function summary({ checks }: DoctorReport, stream: OutputStream): string {
  const count = (state: DoctorState) => checks.filter((check) => check.state === state).length;
  const [failed, warnings] = [count('fail'), count('warn')];
  if (failed > 0) return paint(stream, 'red', `${failed} of ${checks.length} checks failed.`);
  const rest = warnings === 0 ? '' : `, ${warnings} with a warning`;
  return `Nothing failed: ${checks.length} checks${rest}.`;
}
