import { afterEach } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import { createOpenrcMachine } from '../node/create-openrc-machine.ts';
import { createSystemdMachine } from '../node/create-systemd-machine.ts';
import type { CommandOptions, CommandResult, NodeOptions, TestNode } from '../node/types.ts';
import { askStatus, unreadyParts } from './cluster.ts';
import { findProduct } from './product.ts';

/** Where somebody downloaded the product to; read-only, and not where it is installed. */
export const downloads = {
  executable: '/srv/download/mini-k8s',
  bundle: '/srv/download/bundle',
  testImages: '/srv/download/test-bundle',
} as const;

const installed = '/usr/local/bin/mini-k8s';
const POWER_OFF_TIMEOUT_MS = 80_000;

export type ServiceManager = 'systemd' | 'OpenRC';

/** A machine with a service manager, on which a test installs the product. */
export interface Machine {
  readonly node: TestNode;
  readonly manager: ServiceManager;
  /** Runs the downloaded executable. */
  download(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs the installed executable; throws unless its exit code is 0. Returns stdout. */
  run(args: readonly string[], options?: CommandOptions): Promise<string>;
  kubectl(args: readonly string[], options?: CommandOptions): Promise<string>;
  status(): Promise<NodeStatus>;
  waitReady(timeoutMs?: number): Promise<NodeStatus>;
  /** What the service said, and what does not run; for messages. */
  describe(): Promise<string>;
}

/** Boots a machine; with the directory of one that was switched off, from its disk. */
export async function bootMachine(manager: ServiceManager, options: NodeOptions): Promise<Machine> {
  const product = findProduct();
  const create = manager === 'systemd' ? createSystemdMachine : createOpenrcMachine;
  const node = await create({
    ...options,
    binds: [
      ...(options.binds ?? []),
      { source: product.executable, target: downloads.executable },
      { source: product.bundle, target: downloads.bundle },
      { source: product.testImages, target: downloads.testImages },
    ],
  });
  return machineHandle(node, manager);
}

/** After each failed test of the current suite: prints what the machines' services said. */
export function explainMachines(machines: () => readonly (Machine | undefined)[]): void {
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    for (const machine of machines()) {
      if (machine === undefined) continue;
      console.log(`\nState after "${task.name}" failed:\n${await machine.describe()}`);
    }
  });
}

/** `--bundle` and `--trust-bundle` for the bundle that every machine has. */
export function downloadedBundle(): readonly string[] {
  return ['--bundle', downloads.bundle, '--trust-bundle', findProduct().bundleSha256];
}

/** Asks the machine to switch itself off, as a person does, and waits until nothing of it runs. @returns milliseconds. */
export async function powerOff({ node, manager }: Machine): Promise<number> {
  const startedAt = performance.now();
  const command =
    manager === 'systemd'
      ? ['systemctl', '--no-block', 'poweroff']
      : ['openrc-shutdown', '--poweroff', 'now'];
  await node.exec(command);
  let left: readonly string[] = [];
  await waitFor(
    async () => {
      left = (await node.processes()).map(({ commandLine }) => commandLine.join(' ').slice(0, 80));
      return left.length === 0;
    },
    {
      subject: `${node.name} to switch itself off`,
      timeoutMs: POWER_OFF_TIMEOUT_MS,
      describe: () => left.join('\n'),
    },
  );
  return performance.now() - startedAt;
}

function machineHandle(node: TestNode, manager: ServiceManager): Machine {
  const run: Machine['run'] = (args, options) => node.run([installed, ...args], options);
  const status = async () => JSON.parse(await run(['status', '-o', 'json'])) as NodeStatus;
  const describe = async () => {
    const say = async (command: string) => {
      const { stdout, stderr } = await node.exec(['sh', '-c', command], { timeoutMs: 20_000 });
      return `--- ${command}\n${stdout}${stderr}`;
    };
    const commands = [
      `${installed} status`,
      manager === 'systemd'
        ? 'systemctl --no-pager status mini-k8s | cut -c1-200; journalctl --no-pager -b -o cat -n 60'
        : 'rc-service mini-k8s status; tail -n 60 /var/log/mini-k8s.log; ps -ef --forest | cut -c1-150',
      `${installed} kubectl get pods -A -o wide`,
    ];
    const said: string[] = [];
    for (const command of commands) said.push(await say(command).catch(String));
    return said.join('\n');
  };
  return {
    node,
    manager,
    download: (args, options) => node.exec([downloads.executable, ...args], options),
    run,
    kubectl: (args, options) => run(['kubectl', ...args], options),
    status,
    describe,
    waitReady: (timeoutMs = 120_000) => waitUntilReady({ node, describe, timeoutMs }),
  };
}

async function waitUntilReady(
  input: Pick<Machine, 'node' | 'describe'> & { readonly timeoutMs: number },
): Promise<NodeStatus> {
  let last = '';
  try {
    return await waitFor(
      async () => {
        try {
          const status = await askStatus(input.node.pid);
          last = unreadyParts(status).join('; ');
          return last === '' ? status : undefined;
        } catch (error) {
          last = String(error);
          return undefined;
        }
      },
      {
        subject: `everything on ${input.node.name} to be Ready`,
        timeoutMs: input.timeoutMs,
        intervalMs: 500,
        describe: () => last,
      },
    );
  } catch (error) {
    throw new Error(`${String(error)}\n${await input.describe()}`);
  }
}
