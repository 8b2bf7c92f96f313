import { joinFiles } from './cgroup.ts';
import { readCgroupLayout } from './cgroup-layout.ts';
import { findInit } from './node-counters.ts';
import { nodeHandle } from './node-handle.ts';
import { readRecord } from './node-record.ts';
import type { TestNode } from './types.ts';

/** The node of that name that another process has made; undefined when it is not complete or no longer runs. */
export async function openNode(name: string): Promise<TestNode | undefined> {
  const record = await readRecord(name);
  if (record?.running === undefined || record.directory === undefined) return undefined;
  const layout = await readCgroupLayout();
  const pid = await findInit(layout, name);
  if (pid === undefined) return undefined;
  const entrance = { name, pid, joinFiles: joinFiles(layout, name) };
  return nodeHandle({ entrance, layout, directory: record.directory, ...record.running });
}
