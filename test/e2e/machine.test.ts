import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodePaths, productBinds } from '../support/e2e/product.ts';
import { createMachine } from '../support/node/create-machine.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import { GIBIBYTE, type TestNode } from '../support/node/types.ts';

const CHECKOUT = '/srv/mini-k8s';
const SCRIPT_TIMEOUT_MS = 240_000;

// The only test of what a developer does on a machine of their own; the node stands for the whole machine.
describe.skipIf(nodeSkipReason() !== undefined)('./scripts/up --host on a machine', () => {
  let machine: TestNode;
  const script = (...words: readonly string[]) =>
    machine.exec(words, { cwd: CHECKOUT, timeoutMs: SCRIPT_TIMEOUT_MS });
  const up = () => script('./scripts/up', '--host', '--bundle', nodePaths.bundle);

  beforeAll(async () => {
    machine = await createMachine({
      name: 'machine',
      cpus: 'all',
      memoryBytes: 4 * GIBIBYTE,
      binds: productBinds(),
      repository: path.resolve(import.meta.dirname, '../..'),
      repositoryPath: CHECKOUT,
    });
  });
  afterAll(async () => {
    await machine?.destroy();
  });

  test('brings the cluster up and hands over a kubeconfig', { timeout: 300_000 }, async () => {
    const result = await up();
    expect(result.exitCode, `${result.stdout}${result.stderr}`).toBe(0);
    expect(result.stdout).toContain('Everything is Ready');
    const kubectl = ['.up/kubectl', '--kubeconfig', '.up/kubeconfig'];
    const nodes = await script(...kubectl, 'get', 'nodes', '--no-headers');
    expect(nodes.stdout).toMatch(/^machine +Ready +control-plane /);
    expect((await machine.run(['stat', '-c', '%a', `${CHECKOUT}/.up/kubeconfig`])).trim()).toBe(
      '600',
    );
  });

  test('a second time it finds it there', async () => {
    const before = await processIds(machine);
    expect(Object.keys(before)).toContain('kube-apiserver');
    const again = await up();
    expect(again.exitCode, `${again.stdout}${again.stderr}`).toBe(0);
    expect(again.stdout).toContain('It is up already');
    expect(await processIds(machine)).toEqual(before);
  });

  test('./scripts/down leaves nothing of it', { timeout: 300_000 }, async () => {
    const down = await script('./scripts/down');
    expect(down.exitCode, `${down.stdout}${down.stderr}`).toBe(0);
    expect(await processIds(machine)).toEqual({});
    for (const file of ['/var/lib/mini-k8s', '/run/mini-k8s', `${CHECKOUT}/.up`]) {
      expect(await machine.exists(file), file).toBe(false);
    }
    expect(await machine.readFile('/proc/self/mounts')).not.toMatch(/kubelet|containerd|netns/);
    expect(await machine.run(['ip', '-o', 'link'])).not.toContain('kube-bridge');
    expect(await machine.run(['nft', 'list', 'ruleset'])).not.toMatch(/kube/i);
    expect((await script('./scripts/down')).stdout).toContain('Nothing to do.');
  });
});

/** Our processes and their ids, by name. */
async function processIds(machine: TestNode): Promise<Record<string, number>> {
  const ours = /^(mini-k8s|etcd|kube|kubelet|containerd|coredns|metrics-server)/;
  const found = (await machine.processes()).filter(
    ({ name, commandLine }) => ours.test(name) || ours.test(path.basename(commandLine[0] ?? '')),
  );
  return Object.fromEntries(
    found
      // One shim for each pod: which ones there are may change.
      .filter(({ name }) => !name.startsWith('containerd-shim'))
      .map(({ commandLine, pid }) => [path.basename(commandLine[0] ?? ''), pid]),
  );
}
