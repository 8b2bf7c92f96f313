import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseCpuSet } from './node-files.ts';
import { listRecords } from './node-record.ts';

/** As many CPUs as the quota can use; undefined: no set of its own. */
export async function chooseCpus(cpus: number | 'all'): Promise<string | undefined> {
  if (cpus === 'all') return undefined;
  const online = availableParallelism();
  const count = Math.min(Math.ceil(cpus), online);
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(await readFile('/proc/self/status', 'utf8'));
  if (count === online || allowed?.[1] === undefined) return allowed?.[1];
  const taken = (await listRecords()).flatMap(({ isStopped, cpuSet }) =>
    isStopped === true || cpuSet === undefined ? [] : [parseCpuSet(cpuSet)],
  );
  return leastTaken([...parseCpuSet(allowed[1])], taken, count).join(',');
}

/**
 * Those that the fewest nodes have, so that test files that run side by side do not crowd on one; the last ones
 * first, because the host's own work tends to sit on the first. In ascending order.
 */
export function leastTaken(
  cpus: readonly number[],
  taken: readonly ReadonlySet<number>[],
  count: number,
): readonly number[] {
  const nodesOn = (cpu: number) => taken.filter((set) => set.has(cpu)).length;
  return cpus
    .toSorted((a, b) => nodesOn(a) - nodesOn(b) || b - a)
    .slice(0, count)
    .toSorted((a, b) => a - b);
}
