import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { dialTunnel } from '../../support/e2e/dial-tunnel.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import type { Edge, EdgeSites } from '../../support/e2e/edge-sites.ts';
import { follow } from '../../support/e2e/follow.ts';

const name = 'edge-a';
const kubelet = `${name}:10250`;
const inNamespace = ['-n', edgeNamespace];
/** In which both sides must have noticed. */
const noticedWithinMs = 50_000;

/** Nobody gets a FIN or a RST: what a modem does that hangs. */
export function describeSilentCut(sites: () => EdgeSites): void {
  describe('a silent cut', () => {
    test('ends what was open on both sides, is named to who dials, and heals by itself', async () => {
      const { cluster, controller, edge } = sites();
      const cut = edge(name);
      await using follower = follow(cluster, ['logs', '-f', '--tail=1', ...inNamespace, name]);
      await follower.saysNext(`${name} `);
      expect(await kubeletConnections(cut)).toBeGreaterThan(0);

      const cutAt = performance.now();
      await cut.site.cutLink();
      try {
        // Before anybody can know: an answer, late but in time for kube-apiserver, which waits without a limit.
        const early = await dialTunnel(controller, kubelet);
        expect(early.statusLine).toMatch(/^HTTP\/1\.1 50[34] /);
        expect(early.elapsedMs).toBeLessThan(8000);

        await within(
          cutAt,
          'kubectl logs -f to end',
          () => follower.process.exitCode !== undefined,
        );
        await within(
          cutAt,
          'the agent to let go of its kubelet',
          async () => (await kubeletConnections(cut)) === 0,
        );

        const reason = `node ${name} has no tunnel: last seen \\d+ s ago`;
        const answers = [];
        for (const _time of [1, 2, 3, 4, 5]) answers.push(await dialTunnel(controller, kubelet));
        for (const { statusLine } of answers) {
          expect(statusLine).toMatch(new RegExp(`^HTTP/1\\.1 503 ${reason}$`));
        }
        expect(Math.min(...answers.map(({ elapsedMs }) => elapsedMs))).toBeLessThan(50);
        const said = await cluster.mini(['kubectl', 'logs', ...inNamespace, name]);
        expect(said).toMatchObject({ exitCode: 1, stdout: '' });
        expect(said.stderr).toMatch(new RegExp(reason));

        const other = await cluster.kubectl(['exec', ...inNamespace, 'edge-b', '--', 'hostname']);
        expect(other).toBe('edge-b\n');
      } finally {
        await cut.site.restoreLink();
      }
      await waitFor(
        async () => (await cluster.mini(['kubectl', 'logs', ...inNamespace, name])).exitCode === 0,
        {
          subject: `logs of ${name} after the cut`,
          timeoutMs: 60_000,
          intervalMs: 500,
          describe: () => cut.worker.process.output().split('\n').slice(-30).join('\n'),
        },
      );
      await cut.worker.waitReady();
    });
  });
}

function within(
  cutAt: number,
  subject: string,
  isDone: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const timeoutMs = cutAt + noticedWithinMs - performance.now();
  return waitFor(isDone, {
    subject: `${subject} within ${noticedWithinMs / 1000} s of the cut`,
    timeoutMs,
    intervalMs: 200,
  });
}

/** Streams of the tunnel that the agent holds to its kubelet, seen from outside the product. */
async function kubeletConnections({ node }: Edge): Promise<number> {
  const established = ['ss', '-Htn', 'state', 'established', 'dport', '=', ':10250'];
  return (await node.run(established)).split('\n').filter((line) => line !== '').length;
}
