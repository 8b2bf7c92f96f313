import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../../../src/base/errors.ts';
import { readTextIfExists } from '../../../src/base/files.ts';
import { waitFor } from '../../../src/base/time.ts';
import { runOnHost, tryOnHost } from './host-command.ts';
import type { DiskCounters } from './types.ts';

/** What one single-node cluster needs before anything of the user's: executables, images, etcd. */
const NEEDED_BYTES = 3 * 1024 ** 3;
const SECTOR_BYTES = 512;

/** Makes a sparse ext4 file, unless it is there already. */
export async function ensureDiskFile(file: string, sizeBytes: number): Promise<void> {
  if (existsSync(file)) return;
  const { bavail, bsize } = await statfs(path.dirname(file));
  if (bavail * bsize < NEEDED_BYTES) {
    throw new UserError({
      what: `make the node's disk ${file}`,
      why: `${Math.floor((bavail * bsize) / 1024 ** 2)} MiB are free there, ${NEEDED_BYTES / 1024 ** 2} are needed`,
      fix: 'free some space on that file system',
    });
  }
  // Under its name only when it is whole: an interrupted run must not leave a disk that cannot be mounted.
  const unfinished = `${file}.new`;
  await rm(unfinished, { force: true });
  await runOnHost(['truncate', '--size', String(sizeBytes), unfinished]);
  // Few inodes: their tables would be written in the background and count as the node's writes.
  const inodes = ['-i', '32768'];
  await runOnHost([
    'mkfs.ext4',
    '-q',
    '-F',
    '-m',
    '0',
    ...inodes,
    '-L',
    'mini-k8s-node',
    unfinished,
  ]);
  await rename(unfinished, file);
}

/** The loop device of a disk file; direct I/O, so that the host's page cache holds no second copy. */
export async function attachDisk(file: string): Promise<string> {
  const attach = ['losetup', '--find', '--show'];
  const direct = await tryOnHost([...attach, '--direct-io=on', file]);
  if (direct.exitCode === 0) return direct.stdout.trim();
  return (await runOnHost([...attach, file])).trim();
}

/** Detaches every loop device of the file and waits until the kernel has let go of it. */
export async function detachDisk(file: string): Promise<void> {
  await waitFor(
    async () => {
      const devices = await loopDevicesOf(file);
      for (const device of devices) await tryOnHost(['losetup', '--detach', device]);
      return devices.length === 0;
    },
    { subject: `the loop device of ${file} to be free`, timeoutMs: 60_000, intervalMs: 50 },
  );
}

/** What has passed the block device since it was attached. */
export async function readDiskCounters(device: string): Promise<DiskCounters> {
  const text = await readFile(`/sys/block/${path.basename(device)}/stat`, 'utf8');
  const fields = text.trim().split(/\s+/).map(Number);
  return {
    readBytes: (fields[2] ?? 0) * SECTOR_BYTES,
    writtenBytes: (fields[6] ?? 0) * SECTOR_BYTES,
  };
}

/** A device whose file is already deleted shows `<file> (deleted)`. */
async function loopDevicesOf(file: string): Promise<readonly string[]> {
  const devices: string[] = [];
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const backing = await backingFileOf(name);
    if (backing === file || backing === `${file} (deleted)`) devices.push(`/dev/${name}`);
  }
  return devices;
}

/** Undefined for a device without a file, or one that goes away while it is read: the kernel says ENODEV then. */
async function backingFileOf(device: string): Promise<string | undefined> {
  try {
    return (await readTextIfExists(`/sys/block/${device}/loop/backing_file`))?.trim();
  } catch (error) {
    if (errorCode(error) === 'ENODEV') return undefined;
    throw error;
  }
}
