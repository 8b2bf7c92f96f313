import { readlink } from 'node:fs/promises';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import { runTool } from '../host/run-tool.ts';
import type { Ctr } from './containerd-client.ts';
import type { PodContainer, PreStopHook } from './pod-containers.ts';

export interface PreStopOptions {
  readonly ctr: Ctr;
  /** Where the pipes of a hook's output are, which nobody reads. */
  readonly fifoDir: string;
  readonly logger: Logger;
}

/**
 * Does what a container wants done before it is told to end, for as long as its grace period lasts at most. As with
 * kubelet, a hook that fails is told, and the container ends all the same.
 * @see https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
 */
export async function runPreStop(
  container: PodContainer & { readonly preStop: PreStopHook },
  graceMs: number,
  options: PreStopOptions,
): Promise<void> {
  const { preStop: hook, title } = container;
  // Timers of Node.js take whole numbers.
  const limitMs = Math.max(1, Math.floor(graceMs));
  try {
    switch (hook.type) {
      case 'exec':
        return await runCommand(container.id, hook.command, { ...options, limitMs });
      case 'sleep':
        return await sleep(Math.min(hook.ms, limitMs));
      case 'http':
        return await askPod(container.id, hook, { ...options, limitMs });
    }
  } catch (error) {
    options.logger.warn(`The preStop hook of ${title} failed`, { reason: errorMessage(error) });
  }
}

type HookOptions = PreStopOptions & { readonly limitMs: number };

async function runCommand(
  id: string,
  command: readonly string[],
  { ctr, fifoDir, limitMs }: HookOptions,
): Promise<void> {
  const exec = ['tasks', 'exec', '--exec-id', 'pre-stop', '--fifo-dir', fifoDir];
  await ctr([...exec, id, ...command], limitMs);
}

/** Whatever the answer is, it was asked. The certificate is not held against anything: it is no secret that is sent. */
async function askPod(
  id: string,
  hook: PreStopHook & { readonly type: 'http' },
  options: HookOptions,
): Promise<void> {
  const { request } = hook.isSecure ? await import('node:https') : await import('node:http');
  const host = hook.host === '' ? await findAddress(id, options) : hook.host;
  const { port, headers } = hook;
  await new Promise<void>((resolve, reject) => {
    const call = request({
      ...{ host, port, headers, path: hook.path, rejectUnauthorized: false },
      signal: AbortSignal.timeout(options.limitMs),
    });
    call.once('error', reject).once('response', (response) => {
      response.destroy();
      resolve();
    });
    call.end();
  });
}

/** The address of a container's pod, as its network has it. */
async function findAddress(id: string, { ctr }: HookOptions): Promise<string> {
  const tasks = await ctr(['tasks', 'list'], 10_000);
  const pid = tasks
    .split('\n')
    .map((line) => line.split(/\s+/))
    .find(([task]) => task === id)?.[1];
  if (pid === undefined) throw new Error('the container has ended');
  const [own, pods] = await Promise.all(
    ['self', pid].map((process) => readlink(`/proc/${process}/ns/net`)),
  );
  if (own === pods) return '127.0.0.1';
  const inPod = [`--net=/proc/${pid}/ns/net`, 'ip', '-json', '-4', 'address', 'show'];
  const links = JSON.parse(await runTool('nsenter', [...inPod, 'scope', 'global'])) as {
    readonly addr_info?: readonly { readonly local?: string }[];
  }[];
  const address = links.flatMap(({ addr_info = [] }) => addr_info)[0]?.local;
  if (address === undefined) throw new Error('the pod has no address');
  return address;
}
