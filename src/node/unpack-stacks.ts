import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  type BundledStack,
  listBundledStacks,
  readBundledStack,
} from '../artifacts/bundle-manifests.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import type { NodeEvent } from './events.ts';

export interface UnpackOptions {
  readonly store: ArtifactStore;
  /** Where the user's stacks are, one directory each. */
  readonly manifestsDir: string;
  /** Remembers what was unpacked. */
  readonly recordFile: string;
  readonly onEvent: (event: NodeEvent) => void;
}

/** By stack: the digest of what was unpacked, and its files. */
type UnpackRecord = Readonly<
  Record<string, { readonly digest: string; readonly files: readonly string[] }>
>;

/**
 * Puts the stacks that came with a bundle where the user's own are, each once: from then on they are the user's, who may
 * change and delete them. A bundle with another content of a stack replaces what the earlier one brought.
 * @throws UserError where a stack of that name is the user's own.
 */
export async function unpackStacks(options: UnpackOptions): Promise<void> {
  let record = await readRecord(options.recordFile);
  for (const { name, entry } of await listBundledStacks(options.store)) {
    const known = record[name];
    if (known?.digest === entry.digest) continue;
    const stack = await readBundledStack(options.store, { name, entry });
    if (stack === undefined) continue;
    const directory = path.join(options.manifestsDir, name);
    if (known === undefined) await requireFree(directory, stack);
    const files = stack.files.map((file) => file.name);
    const old = (known?.files ?? []).filter((file) => !files.includes(file));
    // Remembered first: after a kill between the two the files are replaced, and nobody's own are in the way.
    record = { ...record, [name]: { digest: '', files: [...files, ...old] } };
    await writeRecord(options.recordFile, record);
    await replaceFiles(directory, stack, old, options.onEvent);
    record = { ...record, [name]: { digest: entry.digest, files } };
    await writeRecord(options.recordFile, record);
  }
}

async function replaceFiles(
  directory: string,
  stack: BundledStack,
  old: readonly string[],
  onEvent: (event: NodeEvent) => void,
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const { name, content } of stack.files) {
    const file = path.join(directory, name);
    await writeFileAtomic(file, content, { mode: 0o600 });
    onEvent({ type: 'file-written', path: file, change: 'created' });
  }
  for (const name of old) await rm(path.join(directory, name), { force: true });
}

async function requireFree(directory: string, { name }: BundledStack): Promise<void> {
  try {
    if ((await readdir(directory)).length === 0) return;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  throw new UserError({
    what: `take the manifests ${name} from the bundle`,
    why: `${directory} is there and did not come with a bundle`,
    fix: `rename that directory, or make the bundle with another name for its manifests`,
  });
}

async function readRecord(file: string): Promise<UnpackRecord> {
  try {
    return JSON.parse((await readTextIfExists(file)) ?? '{}') as UnpackRecord;
  } catch (error) {
    // Damaged: as if nothing had been unpacked, and what is there is then somebody's own.
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

async function writeRecord(file: string, record: UnpackRecord): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(record)}\n`, { mode: 0o600 });
}
