import { readdir, readFile, readlink } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';

/** A port that a component will listen on. */
export interface PortUse {
  readonly port: number;
  readonly component: string;
  /** The field that changes it, when there is one. */
  readonly field?: string;
}

/** Errors for every port that somebody listens on already, naming the process. Root sees all processes. */
export async function checkPorts(uses: readonly PortUse[]): Promise<UserError[]> {
  const listeners = new Map<number, string>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const entry of parseListeners((await readTextIfExists(file)) ?? '')) {
      listeners.set(entry.port, entry.inode);
    }
  }
  const taken = uses.filter((use) => listeners.has(use.port));
  if (taken.length === 0) return [];
  const owners = await socketOwners(new Set(taken.map((use) => listeners.get(use.port) ?? '')));
  return taken.map((use) => {
    const owner = owners.get(listeners.get(use.port) ?? '') ?? 'another process';
    const change = use.field === undefined ? '' : `, or set ${use.field}`;
    return new UserError({
      what: `start ${use.component}`,
      why: `port ${use.port} is in use by ${owner}`,
      fix: `stop that process${change}`,
    });
  });
}

/** Errors for ports that two components would want, because a field was set to one that another has by definition. */
export function portClashes(uses: readonly PortUse[]): UserError[] {
  return uses.flatMap((use) => {
    const other = uses.find(
      (entry) => entry.port === use.port && entry.component !== use.component,
    );
    if (use.field === undefined || other === undefined) return [];
    return [
      new UserError({
        what: `start ${use.component}`,
        why: `port ${use.port} is also ${other.component}'s`,
        fix: `set ${use.field} to another port`,
      }),
    ];
  });
}

/** Listening sockets of a `/proc/net/tcp` table. */
export function parseListeners(table: string): { port: number; inode: string }[] {
  const listening = '0A';
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === listening)
    .map((columns) => ({
      port: Number.parseInt(columns[1]?.split(':')[1] ?? '0', 16),
      inode: columns[9] ?? '',
    }));
}

/** `pid 812 (etcd)` per socket inode. */
async function socketOwners(inodes: ReadonlySet<string>): Promise<Map<string, string>> {
  const owners = new Map<string, string>();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    for (const inode of await socketInodes(pid)) {
      if (inodes.has(inode)) owners.set(inode, `pid ${pid} (${await processName(pid)})`);
    }
  }
  return owners;
}

async function socketInodes(pid: string): Promise<string[]> {
  try {
    const links = await readdir(`/proc/${pid}/fd`);
    const targets = await Promise.all(
      links.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
    );
    return targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
  } catch {
    // The process ended while we looked.
    return [];
  }
}

async function processName(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim();
}
