import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { type CommandOutcome, runCommand } from './run-command.ts';
import type { Examination, Verdict } from './types.ts';

export interface TimeFacts {
  /** Milliseconds since the epoch, as all of these. */
  readonly nowMs: number;
  readonly releasedAtMs: number;
  /** When this node last wrote something. */
  readonly lastWrite?: { readonly file: string; readonly atMs: number };
  /** Whether something keeps the clock right; undefined when nobody here can tell. */
  readonly isSynchronised?: boolean;
  readonly hasBatteryClock: boolean;
}

/** File systems and copies round; what is more was a clock that went back. */
const toleranceMs = 60_000;

export async function examineTime(
  { clock, releasedAtMs, paths }: Examination,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const [lastWrite, isSynchronised, hasBatteryClock] = await Promise.all([
    findLastWrite(paths.stateDir),
    readSynchronised(signal),
    stat('/dev/rtc0').then(
      () => true,
      () => false,
    ),
  ]);
  return judgeTime({
    nowMs: clock.now(),
    releasedAtMs,
    hasBatteryClock,
    ...(lastWrite === undefined ? {} : { lastWrite }),
    ...(isSynchronised === undefined ? {} : { isSynchronised }),
  });
}

/** Pure. */
export function judgeTime(facts: TimeFacts): Verdict[] {
  const { nowMs, releasedAtMs, lastWrite } = facts;
  const says = `the clock says ${iso(nowMs)}`;
  const fix = "set the machine's clock: timedatectl set-ntp true, or timedatectl set-time";
  if (nowMs < releasedAtMs) {
    const why = `${says}, and this release is of ${iso(releasedAtMs)}`;
    return [{ state: 'fail', prevents: 'tell which certificates are valid', why, fix }];
  }
  if (lastWrite !== undefined && nowMs < lastWrite.atMs - toleranceMs) {
    const why = `${lastWrite.file} was written at ${iso(lastWrite.atMs)}: certificates made then are not valid yet`;
    return [{ state: 'warn', what: `${says}, and it was later before`, why, fix }];
  }
  return [judgeKeeper(facts)];
}

function judgeKeeper({ nowMs, isSynchronised, hasBatteryClock }: TimeFacts): Verdict {
  if (isSynchronised === undefined) {
    const what = `${iso(nowMs)}; nothing here tells whether a time server keeps it right`;
    return { state: 'ok', what };
  }
  if (isSynchronised) return { state: 'ok', what: `${iso(nowMs)}, kept right by a time server` };
  const battery = hasBatteryClock ? '' : ', and the machine has no clock that runs without power';
  return {
    state: 'warn',
    what: iso(nowMs),
    why: `no time server keeps it right${battery}; certificates need it right within minutes`,
    fix: 'timedatectl set-ntp true (apt-get install systemd-timesyncd), and let UDP port 123 out',
  };
}

async function findLastWrite(directory: string): Promise<TimeFacts['lastWrite']> {
  // Only root may look into it.
  const names = await readdir(directory).catch(() => []);
  const files = names.map((name) => path.join(directory, name));
  const writes = await Promise.all(
    files.map(async (file) => ({
      file,
      atMs: (await stat(file).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  return writes.toSorted((a, b) => b.atMs - a.atMs)[0];
}

/** Node.js cannot ask the kernel itself (adjtimex): systemd's or chrony's own tool says it. */
async function readSynchronised(signal: AbortSignal): Promise<boolean | undefined> {
  const systemd = await runCommand('timedatectl', ['show', '--property=NTPSynchronized'], signal);
  const found = parseTimedatectl(systemd);
  if (found !== undefined) return found;
  return parseChrony(await runCommand('chronyc', ['-c', 'tracking'], signal));
}

function parseTimedatectl(outcome: CommandOutcome): boolean | undefined {
  if (outcome.type !== 'succeeded') return undefined;
  const word = /^NTPSynchronized=(yes|no)$/m.exec(outcome.stdout)?.[1];
  return word === undefined ? undefined : word === 'yes';
}

/** Comma-separated; the last field is the leap status. */
function parseChrony(outcome: CommandOutcome): boolean | undefined {
  if (outcome.type !== 'succeeded') return undefined;
  const status = outcome.stdout.trim().split(',').at(-1);
  return status === undefined || status === '' ? undefined : status !== 'Not synchronised';
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '');
}
