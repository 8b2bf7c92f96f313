import { readdir, readFile, readlink, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { waitFor } from '../base/time.ts';

/** cgroups in which kubelet and containerd put pods, at the root of a hierarchy. */
const podCgroups = /^(kubepods|kubepods\.slice|k8s\.io)$/;

export interface EndContainersOptions {
  /** Absolute path of the shim, without symbolic links; its processes belong to this node. */
  readonly shimExecutable: string;
}

/** Kills every shim and every process in a pod's cgroup, then removes the cgroups. Returns how many processes there were. */
export async function endContainers(options: EndContainersOptions): Promise<number> {
  const groups = await findPodCgroups();
  const killed = new Set<number>();
  let living: number[] = [];
  await waitFor(
    async () => {
      living = await livingProcesses(options, groups);
      for (const pid of living) {
        kill(pid);
        killed.add(pid);
      }
      return living.length === 0;
    },
    {
      subject: 'containers to end',
      timeoutMs: 30_000,
      describe: () => `still there: pid ${living.join(', ')}`,
    },
  );
  for (const group of groups.toReversed()) await removeGroup(group);
  return killed.size;
}

async function livingProcesses(
  options: EndContainersOptions,
  groups: readonly string[],
): Promise<number[]> {
  const inGroups = await Promise.all(groups.map(readGroup));
  return [...new Set([...(await findShims(options.shimExecutable)), ...inGroups.flat()])];
}

async function findShims(executable: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const targets = await Promise.all(
    pids.map((pid) => readlink(`/proc/${pid}/exe`).catch(() => '')),
  );
  return pids
    .filter((_pid, index) => targets[index]?.replace(/ \(deleted\)$/, '') === executable)
    .map(Number);
}

/** Every pod cgroup of every hierarchy (v1) or of the one (v2), parents before children. */
async function findPodCgroups(): Promise<string[]> {
  const root = '/sys/fs/cgroup';
  const names = await directoriesIn(root);
  const hierarchies = [root, ...names.map((name) => path.join(root, name))];
  const found: string[] = [];
  for (const hierarchy of hierarchies) {
    for (const name of await directoriesIn(hierarchy)) {
      if (podCgroups.test(name)) found.push(...(await withChildren(path.join(hierarchy, name))));
    }
  }
  return [...new Set(found)];
}

async function withChildren(group: string): Promise<string[]> {
  const children = await directoriesIn(group);
  const below = await Promise.all(children.map((name) => withChildren(path.join(group, name))));
  return [group, ...below.flat()];
}

async function directoriesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

async function readGroup(group: string): Promise<number[]> {
  const text = await readFile(path.join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  // 0 stands for a process of another pid namespace; as a signal's target it would mean our own process group.
  return text
    .split('\n')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => pid > 0);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it ended by itself.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** A cgroup can be busy for a moment after its last process; a hierarchy that is read-only keeps its groups. */
async function removeGroup(group: string): Promise<void> {
  await waitFor(
    async () =>
      rmdir(group).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== 'EBUSY',
      ),
    { subject: `cgroup ${group} to become empty`, timeoutMs: 5_000 },
  );
}
