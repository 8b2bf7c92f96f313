import { rm } from 'node:fs/promises';
import { ensureFile, readTextIfExists } from '../base/files.ts';
import type { Paths } from '../config/paths.ts';
import type { NodePlan } from './plan-types.ts';

/**
 * Takes our CNI configuration away when the pod network was switched to the user's own: containerd takes the first
 * file by name, which would go on being ours. Only where a start before had it, since a kube-router that the user
 * brings writes the same file.
 */
export async function handOverCni(plan: NodePlan, paths: Paths): Promise<void> {
  const marker = `${paths.stateDir}/cni-config-file`;
  if (plan.cniConfigFile !== undefined) {
    const content = `${plan.cniConfigFile}\n`;
    await ensureFile({ path: marker, content, mode: 0o600, uid: 0, gid: 0 });
    return;
  }
  const file = (await readTextIfExists(marker))?.trim();
  if (file === undefined) return;
  if (file.startsWith(`${paths.cniConfDir}/`)) await rm(file, { force: true });
  await rm(marker, { force: true });
}
