import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import type { Paths } from '../config/paths.ts';

/** Held by the one supervisor of a data directory; released by `release` or by the end of the process. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a data directory: a bound abstract socket, which the kernel frees with the process, so that
 * no stale lock can outlive a power cut. A file beside it says who holds it.
 * @throws UserError naming the holder when another process has it.
 */
export async function takeLock(paths: Paths, command: string): Promise<Lock> {
  const server = await bind(`\0mini-k8s:${paths.dataDir}`).catch(async (error: unknown) => {
    if (errorCode(error) !== 'EADDRINUSE') throw error;
    throw new UserError({
      what: `start the ${command}`,
      why: `${await describeHolder(paths)} already runs with data directory ${paths.dataDir}`,
      fix: 'use the running one (mini-k8s status), or stop it first',
    });
  });
  const holder: Holder = { pid: process.pid, command, startedAt: new Date().toISOString() };
  await writeFileAtomic(holderFile(paths), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  return { release: () => close(server) };
}

/** Whether somebody holds the lock, without taking it. */
export async function isLocked(paths: Paths): Promise<boolean> {
  try {
    await close(await bind(`\0mini-k8s:${paths.dataDir}`));
    return false;
  } catch (error) {
    if (errorCode(error) === 'EADDRINUSE') return true;
    throw error;
  }
}

interface Holder {
  readonly pid: number;
  readonly command: string;
  readonly startedAt: string;
}

/** Who holds the lock, as `pid 812 (controller, since 2026-11-21T09:00:00.000Z)`. */
export async function describeHolder(paths: Paths): Promise<string> {
  const holder = await readHolder(paths);
  return holder === undefined
    ? 'another process'
    : `pid ${holder.pid} (${holder.command}, since ${holder.startedAt})`;
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
