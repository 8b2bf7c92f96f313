import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import type { Paths } from '../config/paths.ts';

/** Held by the one supervisor of a machine; released by `release` or by the end of the process. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the machine's lock: a bound abstract socket, which the kernel frees with the process, so that no stale lock
 * can outlive a power cut. A file beside it says who holds it. One for all data directories, since they share
 * the run directory, kubelet's directory and the ports.
 * @throws UserError naming the holder when another process has it.
 */
export async function takeLock(paths: Paths, command: string): Promise<Lock> {
  const lock = await tryLock(paths);
  if (lock === undefined) {
    throw new UserError({
      what: `start the ${command}`,
      why: `${await describeHolder(paths)} is running`,
      fix: 'use the running one (mini-k8s status), or stop it first',
    });
  }
  const { dataDir } = paths;
  const startedAt = new Date().toISOString();
  const holder: Holder = { pid: process.pid, command, startedAt, dataDir };
  await writeFileAtomic(holderFile(paths), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  return lock;
}

/** Takes the lock without saying who holds it, for short work; undefined when another process has it. */
export async function tryLock(paths: Paths): Promise<Lock | undefined> {
  return tryNamedLock(socketName(paths));
}

/** Takes a lock of that name on this machine; undefined when another process has it. At most 100 characters. */
export async function tryNamedLock(name: string): Promise<Lock | undefined> {
  try {
    const server = await bind(`\0${name}`);
    return { release: () => close(server) };
  } catch (error) {
    if (errorCode(error) === 'EADDRINUSE') return undefined;
    throw error;
  }
}

/** Whether somebody holds the lock, without taking it for a moment: looking must not keep a node from starting. */
export async function isLocked(paths: Paths): Promise<boolean> {
  const sockets = await readFile('/proc/net/unix', 'utf8');
  return sockets.split('\n').some((line) => line.endsWith(` @${socketName(paths)}`));
}

function socketName(paths: Paths): string {
  return `mini-k8s:${paths.runDir}`;
}

interface Holder {
  readonly pid: number;
  readonly command: string;
  readonly startedAt: string;
  readonly dataDir: string;
}

/** Who holds the lock, as `pid 812 (controller, data directory /var/lib/mini-k8s, since 2026-11-21T09:00:00.000Z)`. */
export async function describeHolder(paths: Paths): Promise<string> {
  const holder = await readHolder(paths);
  return holder === undefined
    ? 'another process'
    : `pid ${holder.pid} (${holder.command}, data directory ${holder.dataDir}, since ${holder.startedAt})`;
}

/** The process that wrote the holder file, when it is alive. */
export async function readHolder(paths: Paths): Promise<Holder | undefined> {
  const text = await readTextIfExists(holderFile(paths));
  if (text === undefined) return undefined;
  try {
    const holder = JSON.parse(text) as Holder;
    await readFile(`/proc/${holder.pid}/stat`);
    return holder;
  } catch {
    // Half-written or of a process that is gone: it names nobody.
    return undefined;
  }
}

function holderFile(paths: Paths): string {
  return `${paths.runDir}/lock.json`;
}

function bind(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ path }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
