import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

export type CheckState = 'ok' | 'warn' | 'fail' | 'skipped';

/** What a check found, as far as it is shown. */
export interface CheckFinding {
  readonly state: CheckState;
  readonly what: string;
  readonly why?: string;
  readonly fix?: string;
}

/** A mark, the label as it is, what was found; below it what mends it. */
export function checkLines(finding: CheckFinding, label: string, stream: OutputStream): string[] {
  const { state, what, why, fix } = finding;
  const reason = why === undefined ? '' : `: ${why}`;
  const mending = fix === undefined ? [] : [`      ${paint(stream, 'bold', 'fix:')} ${fix}`];
  return [`  ${mark(state, stream)} ${label}${what}${reason}`, ...mending];
}

function mark(state: CheckState, stream: OutputStream): string {
  switch (state) {
    case 'ok':
      return paint(stream, 'green', '✓');
    case 'warn':
      return paint(stream, 'yellow', '!');
    case 'fail':
      return paint(stream, 'red', '✗');
    case 'skipped':
      return paint(stream, 'dim', '-');
  }
}
