import { readFile } from 'node:fs/promises';

/** One mounted cgroup hierarchy of the host. */
export interface CgroupHierarchy {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  /** v1: `cpu`, `cpu,cpuacct`, `name=systemd`; empty for v2. */
  readonly controllers: readonly string[];
}

/** The host's hierarchies: v1, v2, or v1 with an empty v2 beside it (hybrid). */
export async function readCgroupLayout(): Promise<readonly CgroupHierarchy[]> {
  return parseCgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** Reads the cgroup mounts out of /proc/self/mountinfo; a hierarchy that is mounted twice counts once. */
export function parseCgroupLayout(mountinfo: string): readonly CgroupHierarchy[] {
  const found = new Map<string, CgroupHierarchy>();
  for (const line of mountinfo.split('\n')) {
    const [mount = '', fileSystem = ''] = line.split(' - ');
    const mountPoint = mount.split(' ')[4];
    const [type, , superOptions = ''] = fileSystem.split(' ');
    if (mountPoint === undefined) continue;
    if (type === 'cgroup2') setOnce(found, { version: 2, mountPoint, controllers: [] });
    if (type === 'cgroup') {
      setOnce(found, { version: 1, mountPoint, controllers: controllersOf(superOptions) });
    }
  }
  return [...found.values()];
}

/** The hierarchy that has a v1 controller; on a pure v2 machine the unified one. */
export function hierarchyOf(
  layout: readonly CgroupHierarchy[],
  controller: string,
): CgroupHierarchy {
  const found =
    layout.find(({ controllers }) => controllers.includes(controller)) ??
    (isUnified(layout) ? layout[0] : undefined);
  if (found === undefined) throw new Error(`No cgroup hierarchy has the ${controller} controller`);
  return found;
}

export function isUnified(layout: readonly CgroupHierarchy[]): boolean {
  return layout.length > 0 && layout.every(({ version }) => version === 2);
}

function setOnce(found: Map<string, CgroupHierarchy>, hierarchy: CgroupHierarchy): void {
  const key = `${hierarchy.version}:${hierarchy.controllers.join(',')}`;
  if (!found.has(key)) found.set(key, hierarchy);
}

/** Super options also hold mount flags (`rw`, `xattr`, `release_agent=…`), which are no controllers. */
function controllersOf(superOptions: string): string[] {
  const flags = /^(ro|rw|xattr|clone_children|noprefix|all|none|cpuset_v2_mode|release_agent=.*)$/;
  return superOptions.split(',').filter((option) => !flags.test(option));
}
