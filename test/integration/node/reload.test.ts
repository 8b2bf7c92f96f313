import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { ensureFile } from '../../../src/base/files.ts';
import { waitFor } from '../../../src/base/time.ts';
import { withExtraArgs } from '../../../src/components/extra-args.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import type { NodeEvent } from '../../../src/node/events.ts';
import { planController } from '../../../src/node/plan.ts';
import type { NodePlan } from '../../../src/node/plan-types.ts';
import type { Planned } from '../../../src/node/prepare.ts';
import { createReloader, type Reloader } from '../../../src/node/reload.ts';
import { createReloadRequests } from '../../../src/node/reload-requests.ts';
import { processComponent } from '../../../src/supervisor/process.ts';
import type { Supervisor } from '../../../src/supervisor/supervisor.ts';
import type { ProcessSpec } from '../../../src/supervisor/types.ts';
import { planInputs } from '../../support/plan-inputs.ts';
import { fixture, Rig, statusOf } from '../supervisor/rig.ts';

const never = new AbortController().signal;

/** Two processes of a real supervisor that stand for kubelet and scheduler, planned from a configuration file. */
class ReloadRig extends Rig {
  readonly configFile = path.join(this.dir, 'config.yaml');
  readonly kubeletFile = path.join(this.dir, 'kubelet.json');
  readonly nodeEvents: NodeEvent[] = [];
  supervisor: Supervisor | undefined;

  async open(config = ''): Promise<Reloader> {
    await writeFile(this.configFile, config);
    const inputs = await planInputs();
    const replan = async () => this.#plan(inputs);
    const planned = await replan();
    const secretOf = (name: string) => `the ${name}`;
    const componentsFor = ({ plan }: Planned) =>
      plan.processes.map((spec) => processComponent(spec, this.deps));
    await this.#realise(planned.plan);
    const supervisor = this.supervise(componentsFor(planned));
    this.supervisor = supervisor;
    await supervisor.start(never);
    return createReloader({
      node: { ...inputs, ...planned, replan },
      secretOf,
      supervisor: () => supervisor,
      realise: ({ plan }) => this.#realise(plan),
      componentsFor,
      logger: this.logger,
      onEvent: (event) => this.nodeEvents.push(event),
      readyTimeoutMs: 20_000,
    });
  }

  status(name: string) {
    if (this.supervisor === undefined) throw new Error('not open');
    return statusOf(this.supervisor, name);
  }

  pid(name: string): number | undefined {
    const { state } = this.status(name);
    return state.type === 'Running' ? state.pid : undefined;
  }

  async #plan(inputs: Awaited<ReturnType<typeof planInputs>>): Promise<Planned> {
    const config = await parseConfig(await readFile(this.configFile, 'utf8'), this.configFile);
    const whole = planController({ ...inputs, config });
    const plan: NodePlan = {
      ...whole,
      pki: { ...whole.pki, secrets: [] },
      files: [
        {
          path: this.kubeletFile,
          content: JSON.stringify(config.spec.kubelet),
          ...{ mode: 0o600, uid: 0, gid: 0 },
        },
      ],
      processes: [
        this.#process('kubelet', [this.kubeletFile]),
        withExtraArgs(this.#process('kube-scheduler', []), config.spec.extraArgs['kube-scheduler']),
      ],
    };
    return { config, plan };
  }

  /** Becomes ready unless it is given `--fail`, and then ends with an error. */
  #process(name: string, args: readonly string[]): ProcessSpec {
    return {
      name,
      executable: '/bin/sh',
      args: [fixture('fails-when-told.sh'), name, this.dir, ...args],
      env: {},
      dependsOn: [],
      readiness: { type: 'exec', executable: '/bin/ls', args: [this.file(`${name}.ready`)] },
      startTimeoutMs: 20_000,
      stopTimeoutMs: 10_000,
    };
  }

  async #realise(plan: NodePlan): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    for (const file of plan.files) await ensureFile({ ...file, uid: process.getuid?.() ?? 0 });
  }
}

test('restarts only what the change is about', async () => {
  await using rig = new ReloadRig();
  const reloader = await rig.open();
  const before = { kubelet: rig.pid('kubelet'), scheduler: rig.pid('kube-scheduler') };

  await writeFile(rig.configFile, 'spec: { kubelet: { maxPods: 20 } }');
  expect(await reloader.reload()).toEqual({
    changed: ['spec.kubelet.maxPods'],
    restarted: ['kubelet'],
    notes: [],
  });
  expect(rig.pid('kubelet')).not.toBe(before.kubelet);
  expect(rig.status('kubelet')).toMatchObject({ restartCount: 1, state: { ready: true } });
  expect(rig.pid('kube-scheduler')).toBe(before.scheduler);
  expect(await readFile(rig.kubeletFile, 'utf8')).toBe('{"maxPods":20}');
  expect(reloader.current().config.spec.kubelet).toEqual({ maxPods: 20 });

  expect(await reloader.reload()).toEqual({ changed: [], restarted: [], notes: [] });
  expect(rig.status('kubelet').restartCount).toBe(1);
});

test('goes on with what it had when the configuration is wrong or cannot be changed', async () => {
  await using rig = new ReloadRig();
  const reloader = await rig.open('spec: { kubelet: { maxPods: 20 } }');
  const pids = [rig.pid('kubelet'), rig.pid('kube-scheduler')];

  await writeFile(
    rig.configFile,
    'spec: { kubelet: { maxPods: 30 }, network: { podCIDR: 10.7.0.0/16 } }',
  );
  await expect(reloader.reload()).rejects.toThrow(
    'Cannot change spec.network.podCIDR from 10.244.0.0/16 to 10.7.0.0/16',
  );
  await writeFile(rig.configFile, 'spec: { api: { port: 0 }, hardening: max }');
  await expect(reloader.reload()).rejects.toThrow(/spec\.api\.port[\s\S]*spec\.hardening/);

  expect([rig.pid('kubelet'), rig.pid('kube-scheduler')]).toEqual(pids);
  expect(await readFile(rig.kubeletFile, 'utf8')).toBe('{"maxPods":20}');
  expect(reloader.current().config.spec.kubelet).toEqual({ maxPods: 20 });
  expect(rig.nodeEvents.map(({ type }) => type)).toEqual(['reload-refused', 'reload-refused']);
});

test('goes back when a component does not run with the new configuration', async () => {
  await using rig = new ReloadRig();
  const reloader = await rig.open();
  await writeFile(
    rig.configFile,
    'spec: { kubelet: { maxPods: 20 }, extraArgs: { kube-scheduler: { fail: told to } } }',
  );
  const error = await reloader.reload().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(
    /^Cannot use the new configuration: kube-scheduler does not run with it \(exited with code 3\):\n {2}.*--fail=told to/,
  );
  await waitFor(() => [rig.status('kubelet'), rig.status('kube-scheduler')].every(isReady), {
    subject: 'both to be ready again',
    timeoutMs: 60_000,
    describe: () => JSON.stringify(rig.events),
  });
  expect(await readFile(rig.kubeletFile, 'utf8')).toBe('{}');
  expect(reloader.current().config.spec.extraArgs['kube-scheduler']).toEqual({});

  await writeFile(rig.configFile, 'spec: { extraArgs: { kube-scheduler: { v: 4 } } }');
  expect((await reloader.reload()).restarted).toEqual(['kube-scheduler']);
});

test('does one after the other', async () => {
  await using rig = new ReloadRig();
  const reloader = await rig.open();
  await writeFile(rig.configFile, 'spec: { kubelet: { maxPods: 20 } }');
  const reports = await Promise.all([reloader.reload(), reloader.reload()]);
  expect(reports.map(({ restarted }) => restarted)).toEqual([['kubelet'], []]);
  expect(rig.status('kubelet').restartCount).toBe(1);
});

test('a request that came before anybody listened is not lost', () => {
  const requests = createReloadRequests();
  let count = 0;
  requests.request();
  requests.request();
  const unfollow = requests.follow(() => {
    count += 1;
  });
  expect(count).toBe(1);
  requests.request();
  expect(count).toBe(2);
  unfollow();
  requests.request();
  expect(count).toBe(2);
});

function isReady({ state }: { state: { type: string; ready?: boolean } }): boolean {
  return state.type === 'Running' && state.ready === true;
}
