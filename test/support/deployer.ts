import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { silentLogger } from '../../src/base/logger.ts';
import { systemClock, waitFor } from '../../src/base/time.ts';
import type { KubeClient, KubeObject, ObjectRef } from '../../src/kube-client/types.ts';
import { createDeployer, type DeployerOptions } from '../../src/stacks/deployer.ts';
import type { StackEvent, StackStatus } from '../../src/stacks/types.ts';

/** A deployer that runs with short intervals, and what it said. */
export interface RunningDeployer {
  readonly events: readonly StackEvent[];
  status(name: string): StackStatus | undefined;
  /** 'absent' holds too before the deployer has looked at the cluster: await `stack-deleted` for what an earlier one left. */
  waitForState(name: string, state: StackStatus['state'] | 'absent'): Promise<void>;
  waitForEvent(type: StackEvent['type']): Promise<void>;
  /** Rejects when the deployer's loop failed. */
  stop(): Promise<void>;
}

export const shortTiming = {
  rescanMs: 500,
  driftMs: 1_000,
  settleMs: 150,
  pruneAfterMs: 600,
  unservedAfterMs: 1_000,
};

export function runDeployer(
  options: Pick<DeployerOptions, 'client' | 'manifestsDir'> & Partial<DeployerOptions>,
): RunningDeployer {
  const abort = new AbortController();
  const events: StackEvent[] = [];
  const deployer = createDeployer({
    packaged: [],
    clock: systemClock,
    logger: silentLogger,
    timing: shortTiming,
    ...options,
    onEvent: (event) => {
      events.push(event);
      options.onEvent?.(event);
    },
  });
  const running = deployer.run(abort.signal);
  const failed = running.then(
    () => undefined,
    (error: unknown) => error,
  );
  const describe = () => JSON.stringify({ status: deployer.status(), events });
  const status = (name: string) => deployer.status().find((stack) => stack.name === name);
  return {
    events,
    status,
    async waitForState(name, state) {
      await waitFor(() => (status(name)?.state ?? 'absent') === state, {
        subject: `stack ${name} to be ${state}`,
        timeoutMs: 60_000,
        intervalMs: 50,
        describe,
      });
    },
    async waitForEvent(type) {
      await waitFor(() => events.some((event) => event.type === type), {
        subject: `the event ${type}`,
        timeoutMs: 60_000,
        intervalMs: 50,
        describe,
      });
    },
    async stop() {
      abort.abort();
      const error = await failed;
      if (error !== undefined) throw new Error('the deployer failed', { cause: error });
    },
  };
}

/** Writes a manifest as a careful user does: under a hidden name, then renamed. Objects become JSON documents. */
export async function writeManifest(
  file: string,
  content: string | readonly KubeObject[],
): Promise<void> {
  const text =
    typeof content === 'string'
      ? content
      : content.map((object) => JSON.stringify(object)).join('\n---\n');
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.tmp`);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(temporary, text);
  await rename(temporary, file);
}

/** Waits until the object satisfies `test`; undefined stands for an object that is not there. */
export async function waitForObject(
  client: KubeClient,
  ref: ObjectRef,
  test: (object: KubeObject | undefined) => boolean,
): Promise<void> {
  let last: KubeObject | undefined;
  await waitFor(
    async () => {
      last = await client.get(ref);
      return test(last);
    },
    {
      subject: `${ref.resource.kind} ${ref.name}`,
      timeoutMs: 60_000,
      intervalMs: 50,
      describe: () => JSON.stringify(last ?? 'absent'),
    },
  );
}
