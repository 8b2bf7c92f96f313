import { readdir, readFile, readlink } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { Examination, Machine, Verdict } from './types.ts';

/** A port that a component will listen on. */
export interface PortUse {
  readonly port: number;
  readonly component: string;
  /** The field that changes it, when there is one. */
  readonly field?: string;
  /** A node without it starts, and tries again until it has it. */
  readonly isOptional?: boolean;
}

/** A port on which somebody listens already. */
export interface TakenPort {
  readonly use: PortUse;
  /** Undefined for a process that this user may not look into. */
  readonly owner?: { readonly pid: number; readonly name: string };
}

export async function examinePorts(machine: Machine | Examination): Promise<Verdict[]> {
  const ownPids = 'ownPids' in machine ? machine.ownPids : new Set<number>();
  const isRunning = 'isRunning' in machine && machine.isRunning;
  return judgePorts(machine.ports, await findTakenPorts(machine.ports), { ownPids, isRunning });
}

/** Pure. */
export function judgePorts(
  uses: readonly PortUse[],
  taken: readonly TakenPort[],
  node: Pick<Examination, 'ownPids' | 'isRunning'>,
): Verdict[] {
  const clashes = portClashes(uses).map(
    ({ what, why, fix }): Verdict => ({
      state: 'fail',
      prevents: what,
      why,
      ...(fix === undefined ? {} : { fix }),
    }),
  );
  const foreign = taken.filter(({ owner }) => owner === undefined || !node.ownPids.has(owner.pid));
  const unknown = foreign.filter(({ owner }) => owner === undefined && node.isRunning);
  const others = foreign.filter((port) => !unknown.includes(port));
  const verdicts = [...clashes, ...others.map(judgeTaken), ...judgeUnknown(unknown)];
  if (verdicts.length > 0) return verdicts;
  const ports = [...new Set(uses.map(({ port }) => port))].toSorted((a, b) => a - b).join(', ');
  const what = taken.length === 0 ? `free: ${ports}` : `nobody but this node listens on ${ports}`;
  return [{ state: 'ok', what }];
}

function judgeTaken({ use, owner }: TakenPort): Verdict {
  const who = owner === undefined ? 'another process' : `pid ${owner.pid} (${owner.name})`;
  const why = `port ${use.port} is in use by ${who}`;
  const change = use.field === undefined ? '' : `, or set ${use.field}`;
  const fix = `stop that process${change}`;
  if (use.isOptional !== true)
    return { state: 'fail', prevents: `start ${use.component}`, why, fix };
  return { state: 'warn', what: `${use.component} has to wait`, why, fix };
}

/** A process that only root may look into is most likely the node's own, where one runs. */
function judgeUnknown(taken: readonly TakenPort[]): Verdict[] {
  if (taken.length === 0) return [];
  const ports = taken.map(({ use }) => use.port).join(', ');
  return [{ state: 'skipped', why: `only root sees whether this node listens on ${ports}` }];
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

async function findTakenPorts(uses: readonly PortUse[]): Promise<TakenPort[]> {
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
    const owner = owners.get(listeners.get(use.port) ?? '');
    return owner === undefined ? { use } : { use, owner };
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

/** The process of each socket inode. Root sees all processes. */
async function socketOwners(
  inodes: ReadonlySet<string>,
): Promise<Map<string, { pid: number; name: string }>> {
  const owners = new Map<string, { pid: number; name: string }>();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    for (const inode of await socketInodes(pid)) {
      if (!inodes.has(inode)) continue;
      owners.set(inode, { pid: Number(pid), name: await processName(pid) });
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
