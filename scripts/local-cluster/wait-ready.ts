import { open } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../src/base/errors.ts';
import { readTextIfExists } from '../../src/base/files.ts';
import { sleep } from '../../src/base/time.ts';
import { CONTROLLER_LOG, type Place, PROGRESS_LOG } from './place.ts';

/** Design §11.15: then it is reported, and goes on trying. */
const READY_TIMEOUT_MS = 180_000;
const POLL_INTERVAL_MS = 1500;
const LOOK_AGAIN_MS = 250;
const TAIL_LINES = 20;

/** The part of `mini-k8s status -o json` that is read here. */
interface Status {
  readonly node: Condition;
  readonly addons: readonly Condition[];
}

interface Condition {
  readonly name: string;
  readonly isReady: boolean;
  readonly message: string;
}

export type Readiness =
  | { readonly kind: 'ready' }
  /** `reasons`: what is not Ready yet, and why. */
  | { readonly kind: 'not-ready'; readonly reasons: readonly string[] }
  /** The controller has ended; the last lines of its log. */
  | { readonly kind: 'ended'; readonly log: string };

export interface WaitReadyOptions {
  readonly place: Place;
  readonly logDirectory: string;
  /** Receives the controller's progress lines as they come. */
  readonly say: (line: string) => void;
}

/** Waits until the node and every addon are Ready, at most three minutes. */
export async function waitReady(options: WaitReadyOptions): Promise<Readiness> {
  const { place, logDirectory } = options;
  const deadline = performance.now() + READY_TIMEOUT_MS;
  const forward = progressForwarder(path.join(logDirectory, PROGRESS_LOG), options.say);
  for (;;) {
    // Asked before the log is read: what an ending controller says last is then in it.
    const isRunning = await isControllerRunning(place);
    const status = isRunning ? await readStatus(place) : undefined;
    await forward();
    if (!isRunning) return { kind: 'ended', log: await readTail(logDirectory) };
    const reasons =
      status === undefined ? ['the controller does not answer yet'] : notReady(status);
    if (reasons.length === 0) return { kind: 'ready' };
    if (performance.now() > deadline) return { kind: 'not-ready', reasons };
    await sleep(POLL_INTERVAL_MS);
  }
}

/**
 * Asks twice before it says no: a process has no command line for a moment while its program is replaced, as `setsid`
 * is by the controller, and on a busy machine that moment is long.
 */
async function isControllerRunning(place: Place): Promise<boolean> {
  if (await place.isControllerRunning()) return true;
  await sleep(LOOK_AGAIN_MS);
  return place.isControllerRunning();
}

/** What is not Ready, one line each; empty when all is. */
export function notReady(status: Status): readonly string[] {
  const { node, addons } = status;
  if (addons.length === 0) return [...describe([node]), 'no addon is known yet'];
  return describe([node, ...addons]);
}

function describe(conditions: readonly Condition[]): readonly string[] {
  return conditions
    .filter(({ isReady }) => !isReady)
    .map(({ name, message }) => (message === '' ? name : `${name}: ${message}`));
}

/** Undefined while there is no one to answer. */
export async function readStatus(place: Place): Promise<Status | undefined> {
  const { exitCode, stdout } = await place.run(['status', '-o', 'json']);
  return exitCode === 0 ? (JSON.parse(stdout) as Status) : undefined;
}

/** Returns a function that passes on the lines which are new since its last call. */
function progressForwarder(file: string, say: (line: string) => void): () => Promise<void> {
  let offset = 0;
  let rest = '';
  return async () => {
    const added = await readFrom(file, offset);
    offset += added.length;
    const lines = (rest + added.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    // Indented lines say what to type on the node; here other commands are right.
    for (const line of lines) if (/^\S/.test(line)) say(line);
  };
}

async function readFrom(file: string, offset: number): Promise<Buffer> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    const buffer = Buffer.alloc(Math.max(0, size - offset));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function readTail(logDirectory: string): Promise<string> {
  const text = (await readTextIfExists(path.join(logDirectory, CONTROLLER_LOG))) ?? '';
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
