import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setFrozen } from './cgroup.ts';
import type { CgroupHierarchy } from './cgroup-layout.ts';
import { readDiskCounters } from './disk.ts';
import { runOnHost } from './host-command.ts';
import { execInNode, spawnInNode } from './node-commands.ts';
import { listProcesses, readCpuUsageMs, readMemory } from './node-counters.ts';
import { readRecord } from './node-record.ts';
import { removeRecorded } from './remove-node.ts';
import type { CommandOptions, NodeEntrance, TestNode } from './types.ts';

export interface NodeParts {
  readonly entrance: NodeEntrance;
  readonly layout: readonly CgroupHierarchy[];
  readonly device: string;
  readonly directory: string;
  readonly address: string;
  readonly gateway: string;
}

/** The acts that a test does with a node that runs. */
export function nodeHandle(parts: NodeParts): TestNode {
  const { entrance, layout, device, directory } = parts;
  const { name } = entrance;
  const exec: TestNode['exec'] = (argv, options) => execInNode(entrance, argv, options);
  const run = async (argv: readonly string[], options?: CommandOptions) => {
    const result = await exec(argv, options);
    if (result.exitCode === 0) return result.stdout;
    throw new Error(
      `${argv.join(' ')} in node ${name} failed (exit ${result.exitCode}): ${result.stderr}${result.stdout}`,
    );
  };
  const destroy: TestNode['destroy'] = async (options = {}) => {
    const record = await readRecord(name);
    if (record !== undefined) await removeRecorded(record, options);
  };
  const processes = () => listProcesses(layout, name);
  return {
    name,
    address: parts.address,
    gateway: parts.gateway,
    pid: entrance.pid,
    directory,
    entrance,
    exec,
    run,
    spawn: (argv, options) => spawnInNode(entrance, argv, options),
    readFile: (file) => run(['cat', '--', file]),
    writeFile: async (file, content, mode = 0o644) => {
      const script = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1" && chmod "$2" "$1"';
      await run(['sh', '-c', script, 'write', file, mode.toString(8)], { input: content });
    },
    exists: async (file) => (await exec(['test', '-e', file])).exitCode === 0,
    processes,
    anonymousBytes: async () =>
      (await processes()).reduce((sum, { anonymousBytes }) => sum + anonymousBytes, 0),
    memory: () => readMemory(layout, name),
    cpuUsageMs: () => readCpuUsageMs(layout, name),
    disk: () => readDiskCounters(device),
    dropCaches: async () => {
      await run(['sync', '--file-system', '/var/lib']);
      await writeFile('/proc/sys/vm/drop_caches', '3');
    },
    freeze: () => setFrozen(layout, name, true),
    thaw: () => setFrozen(layout, name, false),
    snapshotDisk: async (target) => {
      await setFrozen(layout, name, true);
      try {
        await runOnHost(['cp', '--sparse=always', path.join(directory, 'disk.img'), target], {
          timeoutMs: 300_000,
        });
      } finally {
        await setFrozen(layout, name, false);
      }
    },
    cutPower: async () => {
      await shutDownFileSystem(run);
      await destroy({ keepDirectory: true });
    },
    destroy,
    [Symbol.asyncDispose]: () => destroy(),
  };
}

/** EXT4_IOC_SHUTDOWN with NOLOGFLUSH: from now on nothing reaches the device, as when the power is gone. */
async function shutDownFileSystem(run: TestNode['run']): Promise<void> {
  const script = `open(my $d, "<", "/var/lib") or die $!; my $flag = pack("L", 2);
    ioctl($d, 0x8004587d, $flag) or die "ioctl: $!"`;
  await run(['perl', '-e', script]);
}
