import { mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage } from '../base/errors.ts';
import type { Machine, Verdict } from './types.ts';

export interface DiskFacts {
  readonly dataDir: string;
  /** Why nothing can be written there. */
  readonly problem?: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** 0 where the file system has no fixed number. */
  readonly inodes: number;
  readonly freeInodes: number;
  /** A cluster's data is there already. */
  readonly hasCluster: boolean;
}

const mebibyte = 1024 * 1024;

/** Less free space than this and etcd, containerd and kubelet fail one after the other. */
const minimumFreeBytes = 256 * mebibyte;
/** A cluster that exists must start on a disk that is nearly full: how else could anybody delete something? */
const minimumFreeBytesLater = 32 * mebibyte;
/** Components, images and an empty cluster; a node without its bundle's files in reach needs as much. */
const comfortableBytes = 1536 * mebibyte;

/** kubelet removes images when less is free, percent. @see https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/ */
const imageRemovalPercent = 15;
const inodeEvictionPercent = 5;

export async function examineDataDirectory({ paths }: Pick<Machine, 'paths'>): Promise<Verdict[]> {
  return judgeDisk(await readDiskFacts(paths.dataDir, `${paths.etcdDir}/member`));
}

/** Pure. */
export function judgeDisk(facts: DiskFacts): Verdict[] {
  const { dataDir, freeBytes, totalBytes, problem } = facts;
  const prevents = `use data directory ${dataDir}`;
  const fix = 'make room or choose another directory with --data-dir';
  if (problem !== undefined) return [{ state: 'fail', prevents, why: problem, fix }];
  const neededBytes = facts.hasCluster ? minimumFreeBytesLater : minimumFreeBytes;
  if (freeBytes < neededBytes) {
    const why = `only ${mebibytes(freeBytes)} MiB are free there, ${mebibytes(neededBytes)} MiB are needed`;
    return [{ state: 'fail', prevents, why, fix, repair: { type: 'prune-store' } }];
  }
  const freePercent = Math.floor((freeBytes / Math.max(1, totalBytes)) * 100);
  const what = `${mebibytes(freeBytes)} MiB (${freePercent} %) are free for ${dataDir}`;
  return [judgeRoom(facts, what, freePercent), ...judgeInodes(facts)];
}

function judgeRoom(facts: DiskFacts, what: string, freePercent: number): Verdict {
  const repair = { type: 'prune-store' } as const;
  const fix = 'make room: mini-k8s artifacts prune removes old versions';
  if (freePercent < imageRemovalPercent) {
    const why = `kubelet removes images that no pod uses when less than ${imageRemovalPercent} % are free, and evicts pods at 10 %`;
    return { state: 'warn', what, why, fix, repair };
  }
  if (!facts.hasCluster && facts.freeBytes < comfortableBytes) {
    const why = `components, images and a new cluster take up to ${mebibytes(comfortableBytes)} MiB`;
    return { state: 'warn', what, why, fix: 'make room, or choose another disk with --data-dir' };
  }
  return { state: 'ok', what };
}

function judgeInodes({ inodes, freeInodes, dataDir }: DiskFacts): Verdict[] {
  if (inodes === 0) return [];
  const percent = Math.floor((freeInodes / inodes) * 100);
  const what = `${freeInodes} inodes (${percent} %) are free`;
  if (percent >= inodeEvictionPercent) return [{ state: 'ok', what }];
  return [
    {
      state: 'warn',
      what,
      why: `kubelet evicts pods when less than ${inodeEvictionPercent} % are free: there are very many small files`,
      fix: `find them: du --inodes -x ${dataDir} / | sort -n | tail`,
    },
  ];
}

async function readDiskFacts(dataDir: string, memberDir: string): Promise<DiskFacts> {
  const unknown = { dataDir, totalBytes: 0, freeBytes: 0, inodes: 0, freeInodes: 0 };
  try {
    const directory = await nearestDirectory(dataDir);
    // Only root may write there; whoever else asks learns the rest.
    if (process.getuid?.() === 0) await probeWritable(directory);
    const { bsize, blocks, bavail, files, ffree } = await statfs(directory);
    return {
      dataDir,
      totalBytes: blocks * bsize,
      freeBytes: bavail * bsize,
      inodes: files,
      freeInodes: ffree,
      hasCluster: await exists(memberDir),
    };
  } catch (error) {
    return { ...unknown, problem: describeDiskError(error), hasCluster: false };
  }
}

/** The directory itself, or the nearest above it that exists. */
export async function nearestDirectory(directory: string): Promise<string> {
  try {
    await stat(directory);
    return directory;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return nearestDirectory(path.dirname(directory));
  }
}

/** Whether a directory can be made and written: a read-only or full disk is found before anything starts. */
async function probeWritable(directory: string): Promise<void> {
  const probe = await mkdtemp(path.join(directory, '.probe-'));
  await rm(probe, { recursive: true });
}

/** In plain words what the kernel says about a directory. */
export function describeDiskError(error: unknown): string {
  const known: Record<string, string> = {
    EROFS: 'the file system is read-only',
    ENOSPC: 'the file system is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'permission denied',
    ENOTDIR: 'a part of the path is not a directory',
  };
  return known[errorCode(error) ?? ''] ?? errorMessage(error);
}

function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / mebibyte);
}
