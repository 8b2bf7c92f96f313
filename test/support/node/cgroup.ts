import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../../src/base/errors.ts';
import { readTextIfExists } from '../../../src/base/files.ts';
import { waitFor } from '../../../src/base/time.ts';
import { type CgroupHierarchy, hierarchyOf, isUnified } from './cgroup-layout.ts';

/** Parent of all nodes in every hierarchy. */
export const CGROUP_PARENT = 'mini-k8s-nodes';

const CPU_PERIOD_US = 100_000;

/** v2: the controllers that kubelet wants to hand to pods. */
const DELEGATED = new Set(['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids']);

export interface CgroupLimits {
  readonly cpus: number | 'all';
  /** CPU numbers, or undefined for all. */
  readonly cpuSet: string | undefined;
  readonly memoryBytes: number | 'all';
}

/** The node's own group in one hierarchy, as the host names it. */
export function cgroupDirectory(hierarchy: CgroupHierarchy, name: string): string {
  return path.join(hierarchy.mountPoint, CGROUP_PARENT, name);
}

/**
 * Where a command of the node must be put. In v2 a group with controllers for its children may hold no
 * process itself, so the node's processes live in the leaf `init`.
 */
export function joinFiles(layout: readonly CgroupHierarchy[], name: string): readonly string[] {
  return layout.map((hierarchy) => {
    const leaf = hierarchy.version === 2 && isUnified(layout) ? 'init' : '';
    return path.join(cgroupDirectory(hierarchy, name), leaf, 'cgroup.procs');
  });
}

/** Makes the node's group in every hierarchy and sets the limits. */
export async function createCgroups(
  layout: readonly CgroupHierarchy[],
  name: string,
  limits: CgroupLimits,
): Promise<void> {
  for (const hierarchy of layout) {
    const parent = path.join(hierarchy.mountPoint, CGROUP_PARENT);
    // At once: whoever removes the last node takes an empty parent away.
    await mkdir(path.join(parent, name), { recursive: true });
    if (isUnified(layout)) {
      await enableControllers(hierarchy.mountPoint);
      await enableControllers(parent);
    }
    if (hierarchy.controllers.includes('cpuset')) {
      await inheritCpuSet(parent);
      await inheritCpuSet(path.join(parent, name));
    }
  }
  await (isUnified(layout) ? limitV2(layout, name, limits) : limitV1(layout, name, limits));
}

/** v2 only: moves the node's processes to the leaf, so that its root may hand controllers to its children. */
export async function settleUnified(
  layout: readonly CgroupHierarchy[],
  name: string,
): Promise<void> {
  const [hierarchy] = layout;
  if (hierarchy === undefined || !isUnified(layout)) return;
  const group = cgroupDirectory(hierarchy, name);
  await mkdir(path.join(group, 'init'), { recursive: true });
  // A process that is moved may have forked just before: its child is moved in the next round.
  await waitFor(
    async () => {
      const text = await readFile(path.join(group, 'cgroup.procs'), 'utf8');
      const pids = text.split('\n').filter((pid) => pid !== '');
      for (const pid of pids) await moveQuietly(path.join(group, 'init', 'cgroup.procs'), pid);
      return pids.length === 0;
    },
    { subject: `the processes of node ${name} to move`, timeoutMs: 30_000, intervalMs: 10 },
  );
  await enableControllers(group);
}

/** Puts a process back where this process is, so that it does not count for the node. */
export async function moveOutOfNode(
  layout: readonly CgroupHierarchy[],
  pid: number,
): Promise<void> {
  const own = parseOwnCgroups(await readFile('/proc/self/cgroup', 'utf8'));
  for (const hierarchy of layout) {
    const where = own.get(hierarchy.controllers.join(',')) ?? '/';
    await writeFile(path.join(hierarchy.mountPoint, where, 'cgroup.procs'), String(pid));
  }
}

/** Every process of the node and its containers, as host PIDs. */
export async function cgroupPids(
  layout: readonly CgroupHierarchy[],
  name: string,
): Promise<ReadonlySet<number>> {
  const pids = new Set<number>();
  for (const hierarchy of layout) {
    for (const group of await groupsBelow(cgroupDirectory(hierarchy, name))) {
      const text = (await readTolerant(path.join(group, 'cgroup.procs'))) ?? '';
      for (const pid of text.split('\n')) if (pid !== '' && pid !== '0') pids.add(Number(pid));
    }
  }
  return pids;
}

/** Stops or continues every process of the node. */
export async function setFrozen(
  layout: readonly CgroupHierarchy[],
  name: string,
  isFrozen: boolean,
): Promise<void> {
  const group = cgroupDirectory(hierarchyOf(layout, 'freezer'), name);
  const isV2 = isUnified(layout);
  const file = path.join(group, isV2 ? 'cgroup.freeze' : 'freezer.state');
  await writeFile(file, isV2 ? (isFrozen ? '1' : '0') : isFrozen ? 'FROZEN' : 'THAWED');
  await waitFor(
    async () => {
      const state = await readFile(isV2 ? path.join(group, 'cgroup.events') : file, 'utf8');
      return isV2
        ? state.includes(`frozen ${isFrozen ? 1 : 0}`)
        : state.trim() === (isFrozen ? 'FROZEN' : 'THAWED');
    },
    {
      subject: `node ${name} to ${isFrozen ? 'freeze' : 'thaw'}`,
      timeoutMs: 30_000,
      intervalMs: 20,
    },
  );
}

/** Kills every process in the node's groups and removes the groups. Nothing there = nothing done. */
export async function removeCgroups(
  layout: readonly CgroupHierarchy[],
  name: string,
): Promise<void> {
  await thawQuietly(layout, name);
  let left: readonly number[] = [];
  await waitFor(
    async () => {
      left = [...(await cgroupPids(layout, name))].filter((pid) => pid !== process.pid);
      for (const pid of left) killQuietly(pid);
      return left.length === 0;
    },
    {
      subject: `the processes of node ${name} to end`,
      timeoutMs: 60_000,
      intervalMs: 20,
      describe: () => `pids ${left.join(', ')}`,
    },
  );
  for (const hierarchy of layout) {
    await removeTree(cgroupDirectory(hierarchy, name));
    await removeParentIfEmpty(path.join(hierarchy.mountPoint, CGROUP_PARENT));
  }
}

async function limitV1(
  layout: readonly CgroupHierarchy[],
  name: string,
  limits: CgroupLimits,
): Promise<void> {
  const file = (controller: string, key: string) =>
    path.join(cgroupDirectory(hierarchyOf(layout, controller), name), key);
  if (limits.cpuSet !== undefined) await writeFile(file('cpuset', 'cpuset.cpus'), limits.cpuSet);
  const quotaUs = cpuQuotaUs(limits);
  if (quotaUs !== undefined) {
    await writeFile(file('cpu', 'cpu.cfs_period_us'), String(CPU_PERIOD_US));
    await writeFile(file('cpu', 'cpu.cfs_quota_us'), String(quotaUs));
  }
  if (limits.memoryBytes !== 'all') {
    await writeFile(file('memory', 'memory.limit_in_bytes'), String(limits.memoryBytes));
    // Absent when the kernel does not count swap; a node has none in either case.
    await writeIfPresent(file('memory', 'memory.memsw.limit_in_bytes'), String(limits.memoryBytes));
  }
}

async function limitV2(
  layout: readonly CgroupHierarchy[],
  name: string,
  limits: CgroupLimits,
): Promise<void> {
  const group = cgroupDirectory(hierarchyOf(layout, 'memory'), name);
  if (limits.cpuSet !== undefined) await writeFile(path.join(group, 'cpuset.cpus'), limits.cpuSet);
  const quotaUs = cpuQuotaUs(limits);
  if (quotaUs !== undefined) {
    await writeFile(path.join(group, 'cpu.max'), `${quotaUs} ${CPU_PERIOD_US}`);
  }
  if (limits.memoryBytes !== 'all') {
    await writeFile(path.join(group, 'memory.max'), String(limits.memoryBytes));
    await writeIfPresent(path.join(group, 'memory.swap.max'), '0');
  }
  await mkdir(path.join(group, 'init'), { recursive: true });
}

/**
 * Only for a part of a CPU: whole ones are held by the cpuset, and no real machine has a quota. v1 refuses a child a
 * larger one than its parent has, so pods with a limit of more CPUs than the node has would not start.
 */
function cpuQuotaUs({ cpus, cpuSet }: CgroupLimits): number | undefined {
  if (cpus === 'all' || (cpuSet !== undefined && Number.isInteger(cpus))) return undefined;
  return cpus * CPU_PERIOD_US;
}

/** v1: a new cpuset is empty and takes no process until it has CPUs and memory nodes. */
async function inheritCpuSet(group: string): Promise<void> {
  for (const key of ['cpuset.cpus', 'cpuset.mems']) {
    if ((await readFile(path.join(group, key), 'utf8')).trim() !== '') continue;
    await writeFile(
      path.join(group, key),
      await readFile(path.join(path.dirname(group), key), 'utf8'),
    );
  }
}

async function enableControllers(group: string): Promise<void> {
  const read = async (file: string) =>
    (await readFile(path.join(group, file), 'utf8')).trim().split(' ').filter(Boolean);
  const enabled = new Set(await read('cgroup.subtree_control'));
  for (const controller of await read('cgroup.controllers')) {
    if (enabled.has(controller) || !DELEGATED.has(controller)) continue;
    await writeFile(path.join(group, 'cgroup.subtree_control'), `+${controller}`);
  }
}

function parseOwnCgroups(text: string): ReadonlyMap<string, string> {
  const lines = text.trim().split('\n');
  return new Map(
    lines.map((line) => line.split(':')).map(([, key = '', where = '/']) => [key, where]),
  );
}

async function groupsBelow(group: string): Promise<readonly string[]> {
  const groups = [group];
  for (let index = 0; index < groups.length; index += 1) {
    const parent = groups[index] ?? group;
    try {
      const entries = await readdir(parent, { withFileTypes: true });
      groups.push(...entries.filter((e) => e.isDirectory()).map((e) => path.join(parent, e.name)));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return groups;
}

async function removeTree(group: string): Promise<void> {
  await waitFor(
    async () => {
      const groups = await groupsBelow(group);
      // Children first. EBUSY: a killed process has not been reaped yet.
      const results = await Promise.all([...groups].reverse().map(removeGroup));
      return results.every(Boolean);
    },
    { subject: `the removal of ${group}`, timeoutMs: 60_000, intervalMs: 50 },
  );
}

async function removeGroup(group: string): Promise<boolean> {
  try {
    await rmdir(group);
    return true;
  } catch (error) {
    if (isGone(error)) return true;
    if (errorCode(error) === 'EBUSY' || errorCode(error) === 'ENOTEMPTY') return false;
    throw error;
  }
}

async function removeParentIfEmpty(parent: string): Promise<void> {
  // Other nodes may live in it; then it stays.
  await removeGroup(parent);
}

async function thawQuietly(layout: readonly CgroupHierarchy[], name: string): Promise<void> {
  try {
    await setFrozen(layout, name, false);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

async function moveQuietly(procsFile: string, pid: string): Promise<void> {
  try {
    await writeFile(procsFile, pid);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

async function writeIfPresent(file: string, value: string): Promise<void> {
  if ((await readTextIfExists(file)) !== undefined) await writeFile(file, value);
}

/** A group can vanish between listing and reading: ENOENT from the path, ENODEV from an open file. */
async function readTolerant(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV', 'ENOTDIR', 'ESRCH'].includes(errorCode(error) ?? '');
}
