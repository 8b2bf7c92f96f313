import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../../src/base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../../../src/base/files.ts';

/** Where the records of all nodes and sites of this machine are; empty after a reboot, as the kernel's side is. */
export const RECORD_DIRECTORY = '/run/mini-k8s-nodes';

/**
 * What a node or site puts on the machine, written before it is put there, so that a later run can remove it
 * whatever happened to this one.
 */
export interface NodeRecord {
  readonly kind: 'node' | 'site';
  readonly name: string;
  readonly owner: { readonly pid: number; readonly startTime: string };
  readonly isPersistent: boolean;
  /** Switched off; only its directory is there, for the next start. */
  readonly isStopped?: boolean;
  /** Set when the node is complete: what another process needs to use it (`openNode`). */
  readonly running?: {
    readonly address: string;
    readonly gateway: string;
    readonly device: string;
  };
  /** The CPUs that it may use, as the kernel writes them; absent: all. */
  readonly cpuSet?: string;
  readonly directory?: string;
  /** The directory was made for this node and goes with it. */
  readonly ownsDirectory?: boolean;
  readonly diskFile?: string;
  readonly links: readonly string[];
  /** File of the namespace that the links are in; absent: the host's. */
  readonly linkNamespace?: string;
  /** File of a network namespace of its own, for a router. */
  readonly ownNamespace?: string;
  readonly subnet?: string;
  readonly nftTables: readonly string[];
  /** iptables rules (without `-A`/`-D`) that let the node's packets through a closed FORWARD chain. */
  readonly forwardRules: readonly (readonly string[])[];
  /** Global settings that were changed, with the value to put back. */
  readonly sysctls: readonly { readonly path: string; readonly previous: string }[];
}

/**
 * Claims a name on this machine.
 * @throws Error when a node or site of that name is there.
 */
export async function claimRecord(record: NodeRecord): Promise<void> {
  if (!(await claimFile(recordFile(record.name), JSON.stringify(record, undefined, 2)))) {
    const current = await readRecord(record.name);
    const isSameNode = current?.isStopped === true && current.directory === record.directory;
    if (!isSameNode) throw new Error(`${record.name} is already on this machine`);
    await saveRecord(record);
  }
}

/**
 * Writes a new file, whole from the first moment; false when there is one of that name. Another run may remove the
 * empty directory meanwhile.
 */
export async function claimFile(file: string, content: string): Promise<boolean> {
  const temporary = `${file}.${process.pid}.tmp`;
  for (;;) {
    try {
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(temporary, content);
      await link(temporary, file);
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      if (errorCode(error) !== 'ENOENT') throw error;
    } finally {
      await rm(temporary, { force: true });
    }
  }
}

export async function saveRecord(record: NodeRecord): Promise<void> {
  await writeFileAtomic(recordFile(record.name), JSON.stringify(record, undefined, 2));
}

export async function readRecord(name: string): Promise<NodeRecord | undefined> {
  const text = await readTextIfExists(recordFile(name));
  if (text === undefined) return undefined;
  return parseRecord(text, name);
}

export async function listRecords(): Promise<readonly NodeRecord[]> {
  const records: NodeRecord[] = [];
  for (const file of await filesIn(RECORD_DIRECTORY)) {
    if (!file.endsWith('.json') || file.startsWith('.')) continue;
    const record = await readRecord(file.slice(0, -'.json'.length));
    if (record !== undefined) records.push(record);
  }
  return records;
}

export async function deleteRecord(name: string): Promise<void> {
  await rm(recordFile(name), { force: true });
}

/** True while the process that made the node is alive (same PID and same start time). */
export async function isOwnerAlive(record: NodeRecord): Promise<boolean> {
  return (await processStartTime(record.owner.pid)) === record.owner.startTime;
}

export async function ownerOfThisProcess(): Promise<NodeRecord['owner']> {
  return { pid: process.pid, startTime: (await processStartTime(process.pid)) ?? '' };
}

/** Field 22 of /proc/PID/stat, in clock ticks since boot; undefined when there is no such process. */
async function processStartTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name in field 2 may hold blanks and brackets; fields are counted after its last bracket.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/** A record that a power cut has emptied says only its name. */
function parseRecord(text: string, name: string): NodeRecord {
  try {
    return JSON.parse(text) as NodeRecord;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {
      kind: 'node',
      name,
      owner: { pid: 0, startTime: '' },
      isPersistent: false,
      links: [],
      nftTables: [],
      forwardRules: [],
      sysctls: [],
    };
  }
}

/** A node may have the same name as its site. */
export function siteRecordName(name: string): string {
  return `site.${name}`;
}

function recordFile(name: string): string {
  return path.join(RECORD_DIRECTORY, `${name}.json`);
}

export async function filesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
