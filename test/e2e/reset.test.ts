import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { runningComponents, shimCount } from '../support/e2e/faults.ts';
import {
  compareSnapshots,
  type MachineSnapshot,
  snapshotMachine,
} from '../support/e2e/faults-snapshot.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';

// One story in order: a cluster, its end, the machine as before, a second cluster, its violent end, the machine as before.
describe.skipIf(nodeSkipReason() !== undefined)('reset', { timeout: 240_000 }, () => {
  let node: TestNode;
  let cluster: Cluster | undefined;
  let untouched: MachineSnapshot;
  const reset = (...args: readonly string[]) => node.exec([nodePaths.executable, 'reset', ...args]);

  beforeAll(async () => {
    node = await createProductNode({ name: 'e2e-reset' });
    // What belongs to the machine's owner must survive a reset.
    for (const chain of ['INPUT', 'FORWARD', 'OUTPUT']) {
      await node.run(['iptables', '-A', chain, '-s', '192.0.2.1', '-j', 'DROP']);
    }
    await node.run(['nft', 'add', 'table', 'inet', 'owner']);
    await node.run(['ipset', 'create', 'owner', 'hash:ip']);
    await node.run(['ip', 'rule', 'add', 'priority', '32765', 'from', '192.0.2.9', 'table', '99']);
    await node.writeFile('/etc/cni/net.d/99-owner.conf.off', 'of the owner');
    await node.writeFile('/etc/mini-k8s/config.yaml', 'metadata: {name: from-the-owner}\n');
    untouched = await snapshotMachine(node);
    cluster = await startCluster(node);
    await cluster.waitReady();
  });
  afterAll(async () => {
    await node?.destroy();
  });
  explainFailures(() => cluster);

  test('a cluster leaves enough traces for this test to mean something', async () => {
    const traces = compareSnapshots(untouched, await snapshotMachine(node));
    for (const trace of [
      /^process: \+ \/var\/lib\/mini-k8s\/bin\/etcd /,
      /^link: \+ kube-bridge/,
      /^rule: \+ .*lookup 77/,
      /^nftables: \+ table ip kube-proxy/,
      /^iptables: \+ -A KUBE-/,
      /^ipset: \+ Name: kube-router-/,
      /^mount: \+ .*\/var\/lib\/kubelet\/pods\//,
      /^namespace: \+ cni-/,
      /^cgroup: \+ .*\/kubepods/,
      /^file: \+ \/opt\/cni\/bin\/bridge /,
      /^sysctl: \+ kernel\.panic_on_oops = 1/,
    ]) {
      expect(traces.join('\n')).toMatch(new RegExp(trace.source, 'm'));
    }
  });

  test('without --yes it only says what it would do', async () => {
    expect(await reset()).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^error: Cannot reset this node: it deletes the cluster with all its data, and --yes is not given\nfix: mini-k8s reset --yes\n$/,
      ),
    });
  });

  test('a running node refuses, names its process and is not harmed', async () => {
    const before = await runningComponents(node);
    const { pid } = (await cluster?.status())?.supervisor ?? { pid: 0 };
    const { exitCode, stdout, stderr } = await reset('--yes');
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(`^error: Cannot reset this node: pid ${pid} \\(controller, `),
    );
    expect(stderr).toMatch(/^fix: stop it first \(Ctrl-C, or kill -TERM that pid\)$/m);
    expect(await runningComponents(node)).toEqual(before);
  });

  test('after a stop it leaves the machine as it was', async () => {
    expect(await cluster?.stop()).toBe(0);
    const { exitCode, stdout, stderr } = await reset('--yes');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^removed \/var\/lib\/mini-k8s\/etcd$/m);
    expect(stdout).toMatch(/^Done: \d+ things removed\.$/m);
    expect(compareSnapshots(untouched, await snapshotMachine(node))).toEqual([]);
  });

  test('the second time it finds nothing', async () => {
    expect(await reset('--yes')).toEqual({
      exitCode: 0,
      stdout: 'Nothing to remove.\n',
      stderr: '',
    });
  });

  test('a new cluster starts afterwards', async () => {
    cluster = await startCluster(node);
    await cluster.waitReady();
    expect(await cluster.kubectl(['get', 'nodes', '-o', 'name'])).toBe('node/e2e-reset\n');
  });

  test('after a SIGKILL of the supervisor it ends what was left, and leaves the machine as it was', async () => {
    await cluster?.kill();
    expect((await runningComponents(node))['kube-apiserver']).toHaveLength(1);
    expect(await shimCount(node)).toBeGreaterThan(0);
    const { exitCode, stdout, stderr } = await reset('--yes');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^removed process etcd \(pid \d+\)$/m);
    expect(compareSnapshots(untouched, await snapshotMachine(node))).toEqual([]);
  });
});
