import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.ts';
import { createNode } from '../../test/support/node/create-node.ts';
import { readHostNameservers } from '../../test/support/node/host-nameservers.ts';
import { enterCommand } from '../../test/support/node/node-commands.ts';
import { readRecord } from '../../test/support/node/node-record.ts';
import { openNode } from '../../test/support/node/open-node.ts';
import { removeRecorded } from '../../test/support/node/remove-node.ts';
import type { TestNode } from '../../test/support/node/types.ts';
import type { UpOptions } from './options.ts';
import { type Place, START_IN_BACKGROUND } from './place.ts';
import { type Bundle, NODE_NAME, type Workspace } from './workspace.ts';

/** What the node sees, at which path. */
const EXECUTABLE = '/usr/local/bin/mini-k8s';
const BUNDLE = '/opt/mini-k8s/bundle';
const LOGS = '/var/log/mini-k8s';
const KUBECTL = '/var/lib/mini-k8s/bin/kubectl';

/** The node of an earlier run, if it still runs. Of one that does not, the disk stays for the next. */
export async function findNodePlace(workspace: Workspace): Promise<Place | undefined> {
  const record = await readRecord(NODE_NAME);
  if (record === undefined) return undefined;
  if (record.directory !== workspace.nodeDirectory) throw upElsewhere(record.directory ?? '');
  const node = await openNode(NODE_NAME);
  if (node !== undefined) return nodePlace(node);
  await removeRecorded(record, { keepDirectory: true });
  return undefined;
}

/** Makes the node. With the disk of an earlier one (a reboot ended it), its cluster goes on. */
export async function createNodePlace(
  workspace: Workspace,
  options: UpOptions,
  bundle: Bundle,
): Promise<Place> {
  await mkdir(workspace.nodeDirectory, { recursive: true });
  await mkdir(workspace.logDirectory, { recursive: true });
  const node = await createNode({
    name: NODE_NAME,
    directory: workspace.nodeDirectory,
    cpus: options.cpus,
    memoryBytes: options.memoryBytes,
    diskBytes: options.diskBytes,
    isPersistent: true,
    network: { masquerade: true, nameservers: await readHostNameservers() },
    binds: [
      { source: workspace.executable, target: EXECUTABLE },
      { source: bundle.directory, target: BUNDLE },
      { source: workspace.logDirectory, target: LOGS, writable: true },
    ],
  });
  await writeEnterScript(workspace, node);
  return nodePlace(node);
}

/**
 * Removes the node of this checkout. Returns false when there was none.
 * @throws UserError when the node on this machine belongs to another checkout.
 */
export async function removeNodePlace(workspace: Workspace): Promise<boolean> {
  const record = await readRecord(NODE_NAME);
  if (record === undefined) return false;
  if (record.directory !== workspace.nodeDirectory) return false;
  await removeRecorded(record);
  return true;
}

function nodePlace(node: TestNode): Place {
  return {
    description: `node ${node.name} (${node.address})`,
    server: `https://${node.address}:6443`,
    run: (args) => node.exec([EXECUTABLE, ...args]),
    startController: async () => {
      const sum = await node.run(['sha256sum', `${BUNDLE}/index.json`]);
      const command = [EXECUTABLE, 'controller', '--bundle', BUNDLE];
      const trust = ['--trust-bundle', sum.slice(0, 64)];
      await node.run(['sh', '-c', START_IN_BACKGROUND, 'start', LOGS, ...command, ...trust]);
    },
    isControllerRunning: async () => {
      const processes = await node.processes();
      return processes.some(({ commandLine }) => {
        const index = commandLine.indexOf(EXECUTABLE);
        return index >= 0 && commandLine[index + 1] === 'controller';
      });
    },
    copyKubectl: async (target) => {
      await copyFile(path.join('/proc', String(node.pid), 'root', KUBECTL), target);
    },
  };
}

/** `.up/enter mini-k8s status`: a command in the node, without knowing how one gets into it. */
async function writeEnterScript(workspace: Workspace, node: TestNode): Promise<void> {
  const words = enterCommand(node.entrance, []).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const text = `#!/bin/sh
# Runs a command in the node of ./scripts/up (a shell without one). Needs root.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
[ $# -gt 0 ] || set -- /bin/sh
exec ${words.join(' ')} "$@"
`;
  await writeFile(workspace.enterScript, text);
  await chmod(workspace.enterScript, 0o755);
}

export function upElsewhere(directory: string): UserError {
  const checkout = path.dirname(path.dirname(directory));
  return new UserError({
    what: 'start the cluster of this checkout',
    why: `the one of ${checkout} runs on this machine`,
    fix: `${checkout}/scripts/down`,
  });
}
