import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { dialTunnel } from '../../support/e2e/dial-tunnel.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import type { EdgeSites } from '../../support/e2e/edge-sites.ts';
import { follow } from '../../support/e2e/follow.ts';
import { slowDownLink } from '../../support/node/slow-link.ts';

const name = 'edge-a';
const inNamespace = ['-n', edgeNamespace];
const line = { delayMs: 100, lossFraction: 0.02 };
/** At 2 % loss one TCP connection carries about a hundred kilobytes a second. */
const cpBytes = 2 * 1024 * 1024;

/** A worker at the end of a long line that loses packets. */
export function describeBadLink(sites: () => EdgeSites): void {
  describe('200 ms of round trip and 2 % of loss', () => {
    test('logs are followed, exec answers and cp arrives whole; the node stays Ready', async () => {
      const { cluster, controller, edge } = sites();
      const before = await readyCondition(sites());
      await using _line = await slowDownLink(edge(name).site, line);
      const expectLongLine = async () => {
        const { elapsedMs } = await dialTunnel(controller, `${name}:10250`);
        expect(elapsedMs).toBeGreaterThan(2 * line.delayMs);
      };
      await expectLongLine();
      await using follower = follow(cluster, ['logs', '-f', '--tail=1', ...inNamespace, name]);
      await follower.saysNext(`${name} `);

      const content = randomBytes(cpBytes);
      await controller.writeFile('/root/far', content);
      const copy = async () => {
        await cluster.kubectl(['cp', '/root/far', `${edgeNamespace}/${name}:/tmp/far`], patient);
        await cluster.kubectl(['cp', `${edgeNamespace}/${name}:/tmp/far`, '/root/near'], patient);
      };
      const copying = copy();
      try {
        for (const time of [1, 2, 3]) {
          const exec = ['exec', ...inNamespace, name, '--', 'echo', String(time)];
          expect(await cluster.kubectl(exec, patient)).toBe(`${time}\n`);
          await follower.saysNext(`${name} `);
        }
      } finally {
        await copying;
      }
      await controller.run(['cmp', '/root/far', '/root/near']);
      await follower.saysNext(`${name} `);
      await expectLongLine();
      expect(await readyCondition(sites())).toEqual(before);
    });
  });
}

const patient = { timeoutMs: 120_000 };

/** Its time of transition changes when it is lost and comes back. */
async function readyCondition({ cluster }: EdgeSites): Promise<unknown> {
  const { status } = await cluster.getJson(['node', name]);
  const {
    type,
    status: value,
    lastTransitionTime,
  } = status.conditions.find((condition: { type: string }) => condition.type === 'Ready');
  return { type, value, lastTransitionTime };
}
