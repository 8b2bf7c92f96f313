import { mkdir } from 'node:fs/promises';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { desiredStack } from './desired.ts';
import { readStackFiles, type StackFiles, type Stray, scanManifests } from './manifest-files.ts';
import type { DesiredStack } from './types.ts';

export interface UserSourceOptions {
  readonly manifestsDir: string;
  readonly clock: Clock;
  /** A stack is read when its files have been the same for this long, milliseconds. */
  readonly settleMs: number;
  /** What is absent is believed to be deleted after this long, milliseconds. */
  readonly pruneAfterMs: number;
}

/** One user stack as the files say. */
export interface UserStack {
  readonly name: string;
  /** The last version that could be read; undefined before the first. The same value as long as nothing changed. */
  readonly desired: DesiredStack | undefined;
  /** What is wrong with the files now. */
  readonly problem: string | undefined;
  /** The files have been the same for long enough to delete what is no longer in them. */
  readonly mayPrune: boolean;
}

export interface UserStacks {
  readonly stacks: readonly UserStack[];
  readonly strays: readonly Stray[];
  /** Of the names asked for, those whose directory is surely gone. */
  readonly gone: readonly string[];
  /** Milliseconds after which to look again even if nothing changes. */
  readonly lookAgainInMs: number | undefined;
  /** Why the manifests directory itself cannot be read. */
  readonly unreadable: string | undefined;
}

export interface UserSource {
  /** Looks at the files. `known` are the user stacks that the cluster has. */
  poll(known: readonly string[]): Promise<UserStacks>;
}

interface Entry {
  signature: string;
  /** When this signature was first seen. */
  since: number;
  readSignature: string | undefined;
  desired: DesiredStack | undefined;
  problem: string | undefined;
}

/**
 * Follows the user's manifests. A file that is still being copied looks like a shorter one, and a directory that is
 * being replaced like a deleted one: so files are read only when they have settled, and absence counts after a while.
 */
export function createUserSource(options: UserSourceOptions): UserSource {
  const entries = new Map<string, Entry>();
  const absentSince = new Map<string, number>();
  return {
    async poll(known) {
      const scan = await scanManifests(options.manifestsDir);
      if (scan.type === 'unreadable') {
        absentSince.clear();
        await makeFirstDirectory(options.manifestsDir, scan.code, known);
        return unreadable(entries, options, scan.message);
      }
      const present = new Set(scan.stacks.map(({ name }) => name));
      for (const name of entries.keys()) if (!present.has(name)) entries.delete(name);
      for (const files of scan.stacks) await update(entries, files, options);
      const gone = goneOf({ known, present, absentSince, options });
      return {
        stacks: [...entries].map(([name, entry]) => userStack(name, entry, options)),
        strays: scan.strays,
        gone,
        lookAgainInMs: soonest(entries, absentSince, options),
        unreadable: undefined,
      };
    },
  };
}

/** On a new cluster the directory is made; where the cluster has user stacks, a missing one may be a missing mount. */
async function makeFirstDirectory(
  manifestsDir: string,
  code: string,
  known: readonly string[],
): Promise<void> {
  if (code !== 'ENOENT' || known.length > 0) return;
  try {
    await mkdir(manifestsDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    // A full or read-only disk must not keep packaged stacks from the cluster; that it is missing is told anyway.
    if (errorCode(error) === undefined) throw error;
  }
}

function unreadable(
  entries: ReadonlyMap<string, Entry>,
  options: UserSourceOptions,
  message: string,
): UserStacks {
  return {
    stacks: [...entries].map(([name, entry]) => userStack(name, entry, options)),
    strays: [],
    gone: [],
    lookAgainInMs: undefined,
    unreadable: message,
  };
}

async function update(
  entries: Map<string, Entry>,
  files: StackFiles,
  options: UserSourceOptions,
): Promise<void> {
  const now = options.clock.now();
  const entry = entries.get(files.name) ?? {
    signature: '',
    since: Number.NEGATIVE_INFINITY,
    readSignature: undefined,
    desired: undefined,
    problem: undefined,
  };
  entries.set(files.name, entry);
  if (entry.signature !== files.signature || entry.since === Number.NEGATIVE_INFINITY) {
    entry.signature = files.signature;
    entry.since = now;
  }
  if (now - entry.since < options.settleMs || entry.readSignature === files.signature) return;
  try {
    const objects = await readStackFiles(files);
    entry.desired = desiredStack({ name: files.name, objects }, 'user');
    entry.problem = undefined;
    entry.readSignature = files.signature;
  } catch (error) {
    // A system error may pass (a file vanished, a disk answers again): it is tried again at the next look.
    if (error instanceof UserError) entry.readSignature = files.signature;
    else if (errorCode(error) === undefined) throw error;
    entry.problem = errorMessage(error);
  }
}

function goneOf(input: {
  readonly known: readonly string[];
  readonly present: ReadonlySet<string>;
  readonly absentSince: Map<string, number>;
  readonly options: UserSourceOptions;
}): readonly string[] {
  const { known, present, absentSince, options } = input;
  const now = options.clock.now();
  for (const name of absentSince.keys()) {
    if (present.has(name) || !known.includes(name)) absentSince.delete(name);
  }
  return known.filter((name) => {
    if (present.has(name)) return false;
    const since = absentSince.get(name) ?? now;
    absentSince.set(name, since);
    return now - since >= options.pruneAfterMs;
  });
}

function userStack(name: string, entry: Entry, options: UserSourceOptions): UserStack {
  const isRead = entry.readSignature === entry.signature && entry.problem === undefined;
  const ageMs = options.clock.now() - entry.since;
  const mayPrune = isRead && ageMs >= options.pruneAfterMs;
  return { name, desired: entry.desired, problem: entry.problem, mayPrune };
}

function soonest(
  entries: ReadonlyMap<string, Entry>,
  absentSince: ReadonlyMap<string, number>,
  options: UserSourceOptions,
): number | undefined {
  const now = options.clock.now();
  const dues = [
    ...[...entries.values()].flatMap(({ since }) => [
      since + options.settleMs - now,
      since + options.pruneAfterMs - now,
    ]),
    ...[...absentSince.values()].map((since) => since + options.pruneAfterMs - now),
  ].filter((dueInMs) => dueInMs > 0);
  return dues.length === 0 ? undefined : Math.min(...dues);
}
