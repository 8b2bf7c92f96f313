import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { type Cluster, startCluster } from '../../support/e2e/cluster.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import { type EdgeSites, edgeNames } from '../../support/e2e/edge-sites.ts';
import { waitForApi } from '../../support/e2e/faults.ts';
import { type Follower, follow } from '../../support/e2e/follow.ts';

const inNamespace = ['-n', edgeNamespace];
/** From the API's return to the answers of both workers, beyond what a machine takes for them anyway. */
const answersWithinMs = 10_000;

/** The controller goes while streams of both workers are open through it. */
export function describeControllerRestart(sites: () => EdgeSites): void {
  describe('the controller starts again under load', () => {
    test.each(['SIGTERM', 'SIGKILL'] as const)(
      'after %s open streams end or go on, and new ones work within 10 s of the API',
      async (signal) => {
        const old = sites().cluster;
        await using streams = new AsyncDisposableStack();
        const followers: Follower[] = [];
        for (const name of edgeNames) {
          const logs = streams.use(follow(old, ['logs', '-f', '--tail=1', ...inNamespace, name]));
          const exec = streams.use(follow(old, ['exec', ...inNamespace, name, '--', ...counting]));
          await Promise.all([logs.saysNext(`${name} `), exec.saysNext('exec ')]);
          followers.push(logs, exec);
        }

        if (signal === 'SIGTERM') expect(await old.stop()).toBe(0);
        else await old.kill();
        const cluster = await startCluster(sites().controller, { usesBundle: false });
        sites().cluster = cluster;
        await waitForApi(cluster);
        const firstMs = await untilBothAnswer(cluster);
        const ordinaryMs = await untilBothAnswer(cluster);
        expect(firstMs - ordinaryMs).toBeLessThan(answersWithinMs);

        await eachEndedOrGoesOn(followers);
        const { tunnel } = await cluster.status();
        for (const name of edgeNames) {
          const node = tunnel?.nodes.find(({ nodeName }) => nodeName === name);
          expect(node).toMatchObject({ sessions: 1, connectedSince: expect.any(Number) });
        }
      },
    );
  });
}

const counting = [
  'sh',
  '-c',
  'while :; do count=$((count + 1)); echo "exec $count"; sleep 1; done',
];

async function untilBothAnswer(cluster: Cluster): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(edgeNames.map((name) => untilItAnswers(cluster, name)));
  return performance.now() - startedAt;
}

async function untilItAnswers(cluster: Cluster, name: string): Promise<void> {
  const verbs = [
    { args: ['logs', '--tail=1', ...inNamespace, name], says: `${name} ` },
    { args: ['exec', ...inNamespace, name, '--', 'cat', '/etc/hostname'], says: `${name}\n` },
  ];
  for (const { args, says } of verbs) {
    let last = '';
    await waitFor(
      async () => {
        const { stdout, stderr } = await cluster.mini(['kubectl', ...args]);
        last = stdout + stderr;
        return stdout.includes(says);
      },
      {
        subject: `kubectl ${args.join(' ')} after the API was back`,
        timeoutMs: 60_000,
        intervalMs: 250,
        describe: () => last,
      },
    );
  }
}

/** What hangs, neither speaks nor ends. */
async function eachEndedOrGoesOn(followers: readonly Follower[]): Promise<void> {
  const silent = followers.map((follower) => ({ follower, before: follower.process.output() }));
  const hanging = () =>
    silent.filter(
      ({ follower: { process }, before }) =>
        process.exitCode === undefined && process.output() === before,
    );
  await waitFor(() => hanging().length === 0, {
    subject: 'every stream to have ended or to go on',
    timeoutMs: 20_000,
    describe: () =>
      hanging()
        .map(({ before }) => before.slice(-200))
        .join('\n'),
  });
}
