import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import {
  type ComponentProcess,
  componentOf,
  componentProcesses,
  containersOf,
  isRunningReady,
  pidsOf,
  runningComponents,
} from '../support/e2e/faults.ts';
import { startLastingPod } from '../support/e2e/lasting-pod.ts';
import { createProductNode } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';

const binDir = '/var/lib/mini-k8s/bin';

describe.skipIf(nodeSkipReason() !== undefined)(
  'SIGKILL of a running cluster',
  { timeout: 180_000 },
  () => {
    let node: TestNode;
    let cluster: Cluster;
    let containers: Awaited<ReturnType<typeof containersOf>>;

    beforeAll(async () => {
      node = await createProductNode({ name: 'e2e-kill' });
      cluster = await startCluster(node);
      containers = await startLastingPod(cluster, 'kill');
    });
    afterAll(async () => {
      await node?.destroy();
    });
    explainFailures(() => cluster);

    test.each(componentProcesses)('%s comes back, and nothing else is touched', async (name) => {
      const before = pidsOf(await cluster.status());
      await kill(name);
      const after = await cluster.waitForStatus(
        (status) =>
          componentOf(status, name).restartCount === 1 &&
          componentProcesses.every((other) => isRunningReady(status, other)),
        { subject: `${name} to run again`, timeoutMs: 60_000 },
      );
      expect(componentOf(after, name).lastTermination).toMatchObject({
        signal: 'SIGKILL',
        reason: 'Killed',
      });
      const { [name]: oldPid, ...others } = before;
      const { [name]: newPid, ...othersAfter } = pidsOf(after);
      expect(newPid).not.toBe(oldPid);
      expect(othersAfter).toEqual(others);
    });

    test('the cluster is whole again and no container was restarted', async () => {
      await cluster.waitReady();
      expect(await containersOf(cluster)).toEqual(containers);
      await cluster.kubectl([
        'run',
        'later',
        '-n',
        'kill',
        '--image=mini-k8s.io/test/busybox:1',
        '--',
        'true',
      ]);
      await cluster.kubectl([
        'wait',
        '-n',
        'kill',
        '--for=jsonpath={.status.containerStatuses}',
        'pod/later',
        '--timeout=30s',
      ]);
      await cluster.kubectl(['delete', '-n', 'kill', 'pod/later', '--grace-period=0', '--force']);
    });

    test('a component that does not start is shown with its last words; the others run on', async () => {
      const before = pidsOf(await cluster.status());
      const script = '#!/bin/sh\necho first line\necho second line >&2\necho last words\nexit 3\n';
      await replace('kube-scheduler', script);
      await kill('kube-scheduler');
      const status = await cluster.waitForStatus(
        (found) => componentOf(found, 'kube-scheduler').lastTermination?.exitCode === 3,
        { subject: 'kube-scheduler to fail', timeoutMs: 20_000 },
      );
      const failed = componentOf(status, 'kube-scheduler');
      expect(failed.lastOutput).toEqual(['first line', 'second line', 'last words']);
      expect(failed.restartCount).toBeGreaterThan(1);
      const output = cluster.process.output();
      expect(output).toMatch(
        /✗ kube-scheduler ended: exited with code 3; next try in \d+\.\d s\n {4}first line\n {4}second line\n {4}last words\n/,
      );
      const shown = await waitFor(
        async () => {
          const text = await cluster.run(['status']);
          return /kube-scheduler +CrashLoopBackOff/.test(text) && text;
        },
        { subject: 'status to show the failure', timeoutMs: 20_000 },
      );
      expect(shown).toMatch(/^ {2}kube-scheduler +CrashLoopBackOff .* exit 3, \d+s ago$/m);
      expect(shown).toMatch(
        /^ {2}kube-scheduler: exited with code 3; next try in \d+s\n {4}first line\n {4}second line\n {4}last words$/m,
      );
      const { 'kube-scheduler': _gone, ...others } = before;
      expect(pidsOf(status)).toMatchObject(others);
    });

    test('a file that is no executable for this machine is named', async () => {
      await replace('kube-scheduler', `\u007fELF${'\u0000'.repeat(60)}`);
      const status = await cluster.waitForStatus(
        (found) =>
          /is no executable/.test(
            componentOf(found, 'kube-scheduler').lastTermination?.message ?? '',
          ),
        { subject: 'the broken file to be found', timeoutMs: 45_000 },
      );
      expect(componentOf(status, 'kube-scheduler').lastTermination?.message).toMatch(
        /^\/var\/lib\/mini-k8s\/bin\/kube-scheduler is no executable for this machine \((x64|arm64)\)$/,
      );
    });

    test('of the supervisor: the components live on, and the API with them', async () => {
      const before = await runningComponents(node);
      await cluster.kill();
      const after = await runningComponents(node);
      expect(after).toEqual(before);
      expect(await cluster.kubectl(['get', '--raw', '/readyz'])).toBe('ok');
    });

    test('the next start repairs what was broken and runs nothing twice', async () => {
      cluster = await startCluster(node, { usesBundle: false });
      await cluster.waitReady();
      const running = await runningComponents(node);
      for (const name of componentProcesses) expect(running[name], name).toHaveLength(1);
      expect(cluster.process.output()).toMatch(
        /✓ ended kube-apiserver \(pid \d+\) of an earlier run/,
      );
      expect(await containersOf(cluster)).toEqual(containers);
    });

    async function kill(name: ComponentProcess): Promise<void> {
      const pid = pidsOf(await cluster.status())[name];
      if (pid !== undefined) await node.run(['kill', '-KILL', String(pid)]);
    }

    /** Puts another file into bin/, as a broken disk or a wrong hand might. */
    async function replace(name: string, content: string): Promise<void> {
      await node.writeFile(`${binDir}/${name}.new`, content, 0o755);
      await node.run(['mv', `${binDir}/${name}.new`, `${binDir}/${name}`]);
    }
  },
);
