import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../../src/base/errors.ts';
import { readTextIfExists } from '../../../src/base/files.ts';
import { waitFor } from '../../../src/base/time.ts';
import { createCgroups, joinFiles, moveOutOfNode, settleUnified } from './cgroup.ts';
import { type CgroupHierarchy, readCgroupLayout } from './cgroup-layout.ts';
import { chooseCpus } from './choose-cpus.ts';
import { attachDisk, ensureDiskFile } from './disk.ts';
import {
  addForwardRules,
  addMasquerade,
  addressIn,
  claimSubnet,
  connectNode,
  enableIpForward,
  IP_FORWARD_FILE,
  linkName,
  neededForwardRules,
  nftTableName,
  readIpForward,
} from './network.ts';
import { findInit } from './node-counters.ts';
import { writeNodeFiles } from './node-files.ts';
import { nodeHandle } from './node-handle.ts';
import { claimRecord, type NodeRecord, ownerOfThisProcess, saveRecord } from './node-record.ts';
import { cleanStaleNodes, NODE_DIRECTORIES, removeRecorded } from './remove-node.ts';
import { systemSubmounts } from './submounts.ts';
import { GIBIBYTE, type NodeOptions, type TestNode } from './types.ts';

const DEFAULT_DISK_BYTES = 12 * GIBIBYTE;
const BOOT_TIMEOUT_MS = 120_000;

/** `sleep` gives the shell something to wait for; `wait` reaps whatever ends meanwhile. */
const DEFAULT_INIT = 'while :; do sleep 2147483647 & wait; done';

/**
 * Makes a node: namespaces and cgroups of its own, ext4 on a loop device for its data, an overlay of the host's
 * `/`, one network card. It starts no service. Needs root. Removes the nodes of crashed runs first.
 * What it puts on the machine is removed when it fails half-way.
 * @throws UserError when the machine lacks something that a node needs.
 */
export async function createNode(options: NodeOptions): Promise<TestNode> {
  checkOptions(options);
  await cleanStaleNodes();
  const directory = options.directory ?? path.join(NODE_DIRECTORIES, options.name);
  const namespace = options.network?.site?.namespace;
  const record: NodeRecord = {
    kind: 'node',
    name: options.name,
    owner: await ownerOfThisProcess(),
    isPersistent: options.isPersistent ?? false,
    directory,
    ownsDirectory: options.directory === undefined,
    diskFile: path.join(directory, 'disk.img'),
    links: [linkName('veth', options.name)],
    ...(namespace === undefined ? {} : { linkNamespace: namespace }),
    nftTables: [],
    forwardRules: [],
    sysctls: [],
  };
  await claimRecord(record);
  // What is claimed now and recorded later is known here, even when a step in between fails.
  const state = { record };
  try {
    return await bringUp(options, directory, state);
  } catch (error) {
    await removeRecorded(state.record);
    throw error;
  }
}

interface RecordHolder {
  record: NodeRecord;
}

async function bringUp(
  options: NodeOptions,
  directory: string,
  state: RecordHolder,
): Promise<TestNode> {
  const { name } = options;
  const layout = await readCgroupLayout();
  const network = await planNetwork(options, state);
  const cpuSet = await chooseCpus(options.cpus ?? 1);
  if (cpuSet !== undefined) state.record = { ...state.record, cpuSet };
  await saveRecord(state.record);
  const memoryBytes = options.memoryBytes ?? GIBIBYTE;

  const bootFiles = path.join(directory, 'boot');
  const diskFile = path.join(directory, 'disk.img');
  await mkdir(path.join(directory, 'stage'), { recursive: true });
  await rm(bootFiles, { recursive: true, force: true });
  await writeNodeFiles(bootFiles, {
    name,
    address: network.address,
    nameservers: options.network?.nameservers ?? [],
    memoryBytes: memoryBytes === 'all' ? undefined : memoryBytes,
    cpuSet,
  });
  await ensureDiskFile(diskFile, options.diskBytes ?? DEFAULT_DISK_BYTES);
  const device = await attachDisk(diskFile);
  await createCgroups(layout, name, { cpus: options.cpus ?? 1, cpuSet, memoryBytes });

  const wrapper = await boot({ options, directory, layout, device });
  const pid = await waitFor(() => findInit(layout, name), {
    subject: `PID 1 of node ${name}`,
    timeoutMs: 30_000,
    intervalMs: 20,
  });
  await moveOutOfNode(layout, wrapper);
  await settleUnified(layout, name);
  await connectNode({
    hostLink: linkName('veth', name),
    pid,
    address: network.address,
    gateway: network.gateway,
    bridge: options.network?.site?.bridge,
    namespace: options.network?.site?.namespace,
    wantsDefaultRoute: options.network?.wantsDefaultRoute ?? true,
  });
  if (options.network?.masquerade === true) await openToOutside(network.subnet, state);
  const { address, gateway } = network;
  state.record = { ...state.record, running: { address, gateway, device } };
  await saveRecord(state.record);
  const entrance = { name, pid, joinFiles: joinFiles(layout, name) };
  return nodeHandle({ entrance, layout, device, directory, address, gateway });
}

interface NetworkPlan {
  readonly subnet: string;
  readonly address: string;
  readonly gateway: string;
}

async function planNetwork(options: NodeOptions, state: RecordHolder): Promise<NetworkPlan> {
  const site = options.network?.site;
  if (site !== undefined) {
    const address = options.network?.address ?? site.nextAddress();
    return { subnet: site.subnet, gateway: site.gateway, address };
  }
  const subnet = await claimSubnet(options.name);
  state.record = { ...state.record, subnet };
  await saveRecord(state.record);
  const address = options.network?.address ?? addressIn(subnet, 2);
  return { subnet, gateway: addressIn(subnet, 1), address };
}

async function openToOutside(subnet: string, state: RecordHolder): Promise<void> {
  const { name, links } = state.record;
  const [hostLink = ''] = links;
  const previous = await readIpForward();
  const forwardRules = await neededForwardRules(hostLink);
  const table = nftTableName(name);
  state.record = {
    ...state.record,
    nftTables: [table],
    forwardRules,
    sysctls: previous === '1' ? [] : [{ path: IP_FORWARD_FILE, previous }],
  };
  await saveRecord(state.record);
  await addMasquerade(table, subnet);
  await addForwardRules(forwardRules);
  await enableIpForward();
}

/** Starts the namespaces and waits until the node's PID 1 is its init. Returns the PID of `unshare`, which waits for it. */
async function boot(context: {
  readonly options: NodeOptions;
  readonly directory: string;
  readonly layout: readonly CgroupHierarchy[];
  readonly device: string;
}): Promise<number> {
  const { options, directory, layout, device } = context;
  const logFile = path.join(directory, 'boot.log');
  const log = await open(logFile, 'w');
  const join = layout.map((hierarchy) =>
    path.join(hierarchy.mountPoint, 'mini-k8s-nodes', options.name),
  );
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--fork'];
  const script = path.join(import.meta.dirname, 'boot-node.sh');
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"',
      ...['boot-node', ...join, '--', 'unshare', ...namespaces, '--propagation', 'private'],
      ...['/bin/sh', script],
    ],
    {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'pipe'],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        STAGE: path.join(directory, 'stage'),
        DISK: device,
        FILES: path.join(directory, 'boot'),
        CGROUPS: cgroupMounts(layout),
        LINKS: cgroupLinks(layout),
        SUBMOUNTS: (await systemSubmounts()).join('\n'),
        BINDS: bindLines(options),
        HOSTNAME: options.name,
        INIT: options.initCommand === undefined ? DEFAULT_INIT : shellCommand(options.initCommand),
      },
    },
  );
  await log.close();
  try {
    await waitForBoot(child, logFile);
  } finally {
    child.stdio[3]?.destroy();
    child.unref();
  }
  return child.pid ?? 0;
}

async function waitForBoot(child: ChildProcess, logFile: string): Promise<void> {
  let said = '';
  let ended: string | undefined;
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended = `exit ${code ?? signal}`;
  });
  await waitFor(() => said.includes('booted') || ended !== undefined, {
    subject: 'the node to boot',
    timeoutMs: BOOT_TIMEOUT_MS,
    intervalMs: 10,
  });
  if (said.includes('booted')) return;
  const log = (await readTextIfExists(logFile)) ?? '';
  throw new Error(`The node did not boot (${ended}): ${log.trim()}`);
}

/** Lines for boot-node.sh. Hybrid machines keep every hierarchy at its place below /sys/fs/cgroup. */
function cgroupMounts(layout: readonly CgroupHierarchy[]): string {
  const lines = layout.map(({ version, mountPoint, controllers }) => {
    const directory = path.relative('/sys/fs/cgroup', mountPoint) || '.';
    return `${version} ${directory} ${controllers.join(',')}`.trim();
  });
  return lines.join('\n');
}

/** `cpu` and `cpuacct` as links to `cpu,cpuacct`, as on every machine with systemd and v1. */
function cgroupLinks(layout: readonly CgroupHierarchy[]): string {
  const lines = layout.flatMap(({ mountPoint, controllers }) =>
    controllers
      .filter((name) => controllers.length > 1 && !name.startsWith('name='))
      .map((name) => `${path.basename(mountPoint)} ${name}`),
  );
  return lines.join('\n');
}

function bindLines(options: NodeOptions): string {
  return (options.binds ?? [])
    .map(({ source, target, writable }) => `${writable === true ? 'rw' : 'ro'} ${target} ${source}`)
    .join('\n');
}

function shellCommand(argv: readonly string[]): string {
  return `exec ${argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`;
}

function checkOptions(options: NodeOptions): void {
  const what = `make node ${options.name}`;
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(options.name)) {
    throw new Error(
      `${options.name} is no name for a node: use a-z, 0-9 and -, at most 40 characters`,
    );
  }
  if (options.network?.masquerade === true && options.network.site?.namespace !== undefined) {
    throw new Error(
      `${options.name} is behind a router: only the upstream site can be masqueraded`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new UserError({ what, why: 'namespaces and cgroups need root', fix: 'run it with sudo' });
  }
  if (!existsSync('/dev/loop-control')) {
    throw new UserError({
      what,
      why: '/dev/loop-control is missing: this kernel has no loop devices',
      fix: 'load the module with modprobe loop, or use a kernel that has it',
    });
  }
}
