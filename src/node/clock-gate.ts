import { UserError } from '../base/errors.ts';
import { type Clock, sleep } from '../base/time.ts';
import type { CertificateStatus } from '../pki/types.ts';
import type { NodeEvent } from './events.ts';

/** This program is not older: a clock that says less was never set. To be moved on with each release. */
export const releasedAtMs = Date.UTC(2026, 8, 1);

/** As long as a board without a battery may wait for a time server before it is told to a person, milliseconds. */
const patienceMs = 60_000;
const pollMs = 1000;

export interface ClockGateOptions {
  readonly clock: Clock;
  readonly readStatuses: () => Promise<readonly CertificateStatus[]>;
  readonly onEvent: (event: NodeEvent) => void;
  readonly signal: AbortSignal;
  readonly patienceMs?: number;
}

/**
 * Holds back while certificates are to be made and the clock is certainly wrong: an authority made in 1970 is expired
 * for ever once the clock is right. Where everything is there already, a node starts with whatever clock it has.
 * @throws UserError when the clock is still wrong after a minute, or the signal's reason.
 */
export async function passClockGate(options: ClockGateOptions): Promise<void> {
  const { clock, readStatuses, onEvent, signal } = options;
  const deadline = performance.now() + (options.patienceMs ?? patienceMs);
  let isAwaited = false;
  for (;;) {
    const problem = clockProblem(clock.now(), await readStatuses());
    if (problem === undefined) return;
    if (performance.now() >= deadline) throw wrongClock(problem);
    if (!isAwaited) onEvent({ type: 'clock-awaited', message: problem });
    isAwaited = true;
    await sleep(pollMs, signal);
  }
}

/**
 * Why certificates must not be made now, or undefined. A clock that is behind by less than this can tell does no harm:
 * leaves are made again when their time comes, and an authority signs none before its own beginning.
 */
export function clockProblem(
  nowMs: number,
  statuses: readonly CertificateStatus[],
): string | undefined {
  const isSomethingMissing = statuses.some(
    ({ state }) => state === 'missing' || state === 'unreadable',
  );
  if (!isSomethingMissing) return undefined;
  const says = `the clock says ${new Date(nowMs).toISOString()}`;
  if (nowMs < releasedAtMs) return `${says}, and this release is newer`;
  const later = statuses.find(({ state }) => state === 'not-yet-valid');
  return later === undefined ? undefined : `${says}, and ${later.file} was made later`;
}

function wrongClock(problem: string): UserError {
  return new UserError({
    what: 'make certificates',
    why: problem,
    fix: "set the machine's clock (timedatectl set-time, or a time server) and start again",
  });
}
