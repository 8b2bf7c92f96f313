import { readTextIfExists } from '../base/files.ts';
import type { Machine, Verdict } from './types.ts';

/** What the machine has of cgroups, and what its boot says about it. */
export interface CgroupFacts {
  /** `v1` is also what kubelet calls a hybrid. */
  readonly version: 'v1' | 'v2';
  /** Version 2: what `cgroup.controllers` lists. Version 1: what is mounted. */
  readonly controllers: readonly string[];
  /** Of the running kernel. */
  readonly kernelCommandLine: string;
  /** `Raspberry Pi 4 Model B Rev 1.4`; empty on machines without a device tree. */
  readonly board: string;
  /** The file that holds a Raspberry Pi's kernel command line, where there is one. */
  readonly bootFile?: { readonly path: string; readonly content: string };
}

/** In the order of their age: from Debian 12 on, the older path holds only a note that the file has moved. */
const bootFiles = ['/boot/firmware/cmdline.txt', '/boot/cmdline.txt'];

/** What kubelet and runc do not go without: limits of pods (memory, cpu, pids), and on version 1 what they look for. */
const needed = {
  v2: ['cpu', 'memory', 'pids'],
  v1: ['cpu', 'cpuacct', 'cpuset', 'devices', 'memory', 'pids'],
} as const;

export async function examineCgroups({ host, runsWorkloads }: Machine): Promise<Verdict[]> {
  if (!runsWorkloads) return [];
  return judgeCgroups(await readCgroupFacts(host.cgroupVersion));
}

/** Pure. @see https://kubernetes.io/docs/concepts/architecture/cgroups/ */
export function judgeCgroups(facts: CgroupFacts): Verdict[] {
  const { version, controllers } = facts;
  const missing = needed[version].filter((name) => !controllers.includes(name));
  if (missing.length > 0) {
    const place =
      version === 'v2'
        ? `/sys/fs/cgroup/cgroup.controllers has ${controllers.join(' ') || 'none'}`
        : `mounted below /sys/fs/cgroup are ${controllers.join(' ') || 'none'}`;
    const why = `the ${missing.join(', ')} cgroup is missing: ${place}`;
    return [{ state: 'fail', prevents: 'run pods', why, fix: fixFor(missing, facts) }];
  }
  if (version === 'v2') {
    return [{ state: 'ok', what: `version 2 with ${needed.v2.join(', ')}` }];
  }
  return [
    {
      state: 'warn',
      what: `version 1 with ${needed.v1.join(', ')}`,
      why: 'it works with this release, but Kubernetes may drop version 1 from 1.38 on',
      fix: 'boot with version 2 (systemd.unified_cgroup_hierarchy=1 on the kernel command line), or move to a newer system',
    },
  ];
}

function fixFor(missing: readonly string[], facts: CgroupFacts): string {
  if (!missing.includes('memory')) {
    return facts.version === 'v1'
      ? `mount them: mkdir -p /sys/fs/cgroup/${missing[0]} && mount -t cgroup -o ${missing[0]} none /sys/fs/cgroup/${missing[0]}`
      : 'boot a kernel that was built with them, and without cgroup_disable on its command line';
  }
  const { bootFile, kernelCommandLine } = facts;
  if (isMemoryEnabled(kernelCommandLine)) {
    return 'boot a kernel that was built with CONFIG_MEMCG: this one was told cgroup_enable=memory and has none';
  }
  if (bootFile === undefined || !facts.board.startsWith('Raspberry Pi')) {
    return 'add cgroup_enable=memory to the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub), and reboot';
  }
  return isMemoryEnabled(bootFile.content)
    ? `reboot: ${bootFile.path} has cgroup_enable=memory already`
    : `append cgroup_enable=memory to the one line of ${bootFile.path}, and reboot`;
}

/** Later words win. */
function isMemoryEnabled(commandLine: string): boolean {
  const last = commandLine
    .trim()
    .split(/\s+/)
    .findLast((word) => /^cgroup_(enable|disable)=memory$/.test(word));
  return last === 'cgroup_enable=memory';
}

async function readCgroupFacts(version: 'v1' | 'v2'): Promise<CgroupFacts> {
  const [controllers, kernelCommandLine, board, bootFile] = await Promise.all([
    version === 'v2'
      ? readTextIfExists('/sys/fs/cgroup/cgroup.controllers').then(splitWords)
      : readTextIfExists('/proc/self/mounts').then(parseCgroupMounts),
    readTextIfExists('/proc/cmdline'),
    readTextIfExists('/proc/device-tree/model'),
    findBootFile(),
  ]);
  return {
    version,
    controllers,
    kernelCommandLine: kernelCommandLine ?? '',
    // It ends with a NUL.
    board: (board ?? '').replaceAll('\0', ''),
    ...(bootFile === undefined ? {} : { bootFile }),
  };
}

async function findBootFile(): Promise<CgroupFacts['bootFile']> {
  for (const path of bootFiles) {
    // Some systems mount the boot partition for root only.
    const content = await readTextIfExists(path).catch(() => '');
    if (content !== undefined) return { path, content };
  }
  return undefined;
}

function splitWords(text: string | undefined): string[] {
  return (text ?? '').trim().split(/\s+/).filter(Boolean);
}

/** Controllers of version 1 are options of their mounts: `cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0`. */
export function parseCgroupMounts(mounts: string | undefined): string[] {
  return (mounts ?? '')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup')
    .flatMap(([, , , options = '']) => options.split(','))
    .filter((option) => !/^(rw|ro|relatime|nosuid|nodev|noexec|noatime|xattr)$|=/.test(option));
}
