import { existsSync } from 'node:fs';
import { readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage } from '../../../src/base/errors.ts';
import { waitFor } from '../../../src/base/time.ts';
import { tryNamedLock } from '../../../src/node/lock.ts';
import { removeCgroups } from './cgroup.ts';
import { readCgroupLayout } from './cgroup-layout.ts';
import { detachDisk } from './disk.ts';
import {
  IP_FORWARD_FILE,
  releaseOrphanSubnets,
  releaseSubnet,
  removeForwardRules,
  removeLink,
  removeNftTable,
} from './network.ts';
import { removeNamespace } from './network-namespace.ts';
import {
  deleteRecord,
  filesIn,
  isOwnerAlive,
  listRecords,
  type NodeRecord,
  RECORD_DIRECTORY,
  readRecord,
  saveRecord,
} from './node-record.ts';

/** Directories of nodes that were not given one. */
export const NODE_DIRECTORIES = '/var/tmp/mini-k8s-nodes';

/**
 * Removes whatever a record says, in whatever state it is; each step finds out itself whether there is something
 * to do. The record goes last, and stays when a step failed, so that the next run tries again.
 * @throws Error with every step that failed.
 */
export async function removeRecorded(
  record: NodeRecord,
  options: { readonly keepDirectory?: boolean } = {},
): Promise<void> {
  const steps: (() => Promise<unknown>)[] = [
    async () => record.kind === 'node' && removeCgroups(await readCgroupLayout(), record.name),
    ...record.links.map((link) => () => removeLink(link, record.linkNamespace)),
    async () => record.ownNamespace !== undefined && removeNamespace(record.ownNamespace),
    ...record.nftTables.map((table) => () => removeNftTable(table)),
    () => removeForwardRules(record.forwardRules),
    () => restoreSysctls(record),
    async () => record.diskFile !== undefined && detachDisk(record.diskFile),
    async () => {
      if (record.directory === undefined || options.keepDirectory === true) return;
      if (record.ownsDirectory === true)
        await rm(record.directory, { recursive: true, force: true });
      else if (record.diskFile !== undefined) await rm(record.diskFile, { force: true });
    },
    async () => record.subnet !== undefined && releaseSubnet(record.subnet),
  ];
  const failures: string[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(errorMessage(error));
    }
  }
  if (failures.length > 0) {
    throw new Error(
      `Cannot remove ${record.kind} ${record.name} completely: ${failures.join('; ')}`,
    );
  }
  if (options.keepDirectory === true) await saveRecord(stoppedRecord(record));
  else await deleteRecord(record.name);
  await removeIfEmpty(NODE_DIRECTORIES);
  await removeIfEmpty(RECORD_DIRECTORY);
}

/** The last one turns off the light. Another run may be first with either: then it is its directory. */
async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
  }
}

/** All that is left of a node that was switched off: its directory. */
function stoppedRecord(record: NodeRecord): NodeRecord {
  const { subnet: _released, running: _ended, linkNamespace: _left, ...rest } = record;
  return { ...rest, isStopped: true, links: [], nftTables: [], forwardRules: [], sysctls: [] };
}

/**
 * Removes the nodes and sites of runs that ended without removing them (SIGKILL, crash). Persistent ones and those
 * whose process is alive stay. One process at a time: two that remove the same node fail over what the other has just
 * removed, and who comes second finds everything done. Returns the names of what was removed.
 */
export async function cleanStaleNodes(): Promise<readonly string[]> {
  const lock = await waitFor(() => tryNamedLock('mini-k8s-clean-stale-nodes'), {
    subject: 'another process to have removed what crashed runs have left',
    timeoutMs: 120_000,
  });
  try {
    return await removeStale();
  } finally {
    await lock.release();
  }
}

async function removeStale(): Promise<readonly string[]> {
  const removed: string[] = [];
  const records = await listRecords();
  // Nodes first: a site's bridge is theirs.
  const ordered = [...records].sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0));
  const alive = new Set<string>();
  for (const record of ordered) {
    if (record.isPersistent || (await isOwnerAlive(record))) {
      alive.add(record.name);
      continue;
    }
    await removeRecorded(record);
    removed.push(record.name);
  }
  await releaseOrphanSubnets(async (owner) => (await readRecord(owner)) !== undefined);
  await removeOrphanDirectories(alive);
  return removed;
}

/** /run is empty after a reboot, but disk files are not: a directory without a record is nobody's. */
async function removeOrphanDirectories(alive: ReadonlySet<string>): Promise<void> {
  for (const name of await filesIn(NODE_DIRECTORIES)) {
    if (alive.has(name)) continue;
    const directory = path.join(NODE_DIRECTORIES, name);
    // A directory that another run is about to use has a claim that was made before it; look once more.
    if ((await listRecords()).some((record) => record.directory === directory)) continue;
    await detachDisk(path.join(directory, 'disk.img'));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Puts global settings back, or hands that duty to another node that needs them as they are. */
async function restoreSysctls(record: NodeRecord): Promise<void> {
  for (const { path: file, previous } of record.sysctls) {
    const heir =
      file === IP_FORWARD_FILE
        ? (await listRecords()).find(
            (other) => other.name !== record.name && other.nftTables.length > 0,
          )
        : undefined;
    if (heir !== undefined) {
      const others = heir.sysctls.filter((sysctl) => sysctl.path !== file);
      await saveRecord({ ...heir, sysctls: [...others, { path: file, previous }] });
    } else if (existsSync(file) && (await readFile(file, 'utf8')).trim() !== previous) {
      await writeFile(file, previous);
    }
  }
}
