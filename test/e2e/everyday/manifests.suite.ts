import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { Cluster, KubeJson } from '../../support/e2e/cluster.ts';
import { configMap } from '../../support/e2e/objects.ts';
import type { OutsideKubectl } from '../../support/e2e/outside.ts';

const DIRECTORY = '/var/lib/mini-k8s/manifests';
/** Files settle for a second, and are looked at every ten at the latest. */
const APPLY_TIMEOUT_MS = 30_000;
const DRIFT_TIMEOUT_MS = 60_000;

/** Manifests that a user puts under `<dataDir>/manifests/<stack>/`. */
export function describeManifests(cluster: () => Cluster, kubectl: () => OutsideKubectl): void {
  const write = (file: string, ...objects: readonly unknown[]) =>
    cluster().node.writeFile(
      `${DIRECTORY}/${file}`,
      objects.map((object) => JSON.stringify(object)).join('\n---\n'),
    );
  const dataOf = async (name: string): Promise<Record<string, string> | undefined> => {
    const get = ['get', 'configmap', name, '-n', 'default', '--ignore-not-found', '-o', 'json'];
    const text = await kubectl().run(get);
    return text === '' ? undefined : JSON.parse(text).data;
  };
  const becomes = async (
    name: string,
    expected: Record<string, string> | undefined,
    timeoutMs = APPLY_TIMEOUT_MS,
  ) => {
    let last: unknown;
    await waitFor(
      async () => {
        last = await dataOf(name);
        return JSON.stringify(last) === JSON.stringify(expected);
      },
      {
        subject: `${name} to be ${JSON.stringify(expected)}`,
        timeoutMs,
        intervalMs: 1000,
        describe: () => JSON.stringify(last),
      },
    );
  };

  describe('manifests', () => {
    test('what someone else changes is repaired, and what is not ours is kept', async () => {
      await write('drift/map.yaml', configMap('drift', { ours: 'as written', spare: 'here' }));
      await becomes('drift', { ours: 'as written', spare: 'here' });
      const patch = { data: { ours: 'changed', spare: null, theirs: 'kept' } };
      const args = ['patch', 'configmap', 'drift', '-n', 'default', '-p', JSON.stringify(patch)];
      await kubectl().run(args);
      expect(await dataOf('drift')).toEqual({ ours: 'changed', theirs: 'kept' });
      const repaired = { ours: 'as written', spare: 'here', theirs: 'kept' };
      await becomes('drift', repaired, DRIFT_TIMEOUT_MS);
    });

    test('a stack is applied, changed, and deleted with its files', async () => {
      const first = configMap('shop-a', { color: 'red' });
      await write('shop/all.yaml', first, configMap('shop-b', { size: '1' }));
      await becomes('shop-a', { color: 'red' });
      await becomes('shop-b', { size: '1' });
      const status = await cluster().waitForStatus(
        (found) => stackOf(found, 'shop') !== undefined,
        {
          subject: 'the stack in the status',
        },
      );
      expect(stackOf(status, 'shop')).toMatchObject({
        origin: 'user',
        state: 'Applied',
        objects: 2,
      });
      expect(await cluster().run(['status'])).toMatch(/shop +Applied \(2 objects\)/);

      await write('shop/all.yaml', configMap('shop-a', { color: 'blue' }));
      await becomes('shop-a', { color: 'blue' });
      await becomes('shop-b', undefined);

      await cluster().node.run(['rm', '-r', `${DIRECTORY}/shop`]);
      await becomes('shop-a', undefined);
      const gone = (found: KubeJson) => stackOf(found, 'shop') === undefined;
      await cluster().waitForStatus(gone, { subject: 'the stack to leave the status' });
    });

    test('a broken file is one line of status and hurts nobody else', async () => {
      await write('broken/map.yaml', configMap('broken', { version: '1' }));
      await becomes('broken', { version: '1' });
      await cluster().node.writeFile(`${DIRECTORY}/broken/map.yaml`, 'kind: [ConfigMap\n  data: -');
      const isFailed = (found: KubeJson) => stackOf(found, 'broken')?.state === 'Failed';
      const status = await cluster().waitForStatus(isFailed, { subject: 'the stack to fail' });
      const message: string = stackOf(status, 'broken')?.message ?? '';
      expect(message).toContain('Cannot read map.yaml: line 1');
      expect(message).not.toContain('\n');
      const text = await cluster().run(['status']);
      expect(text.split('\n').filter((line) => /^ +broken /.test(line))).toHaveLength(1);

      // What it had stays, others are applied as ever, and all is well when the file is.
      await write('healthy/map.yaml', configMap('healthy', { version: '1' }));
      await becomes('healthy', { version: '1' });
      expect(await dataOf('broken')).toEqual({ version: '1' });
      await write('broken/map.yaml', configMap('broken', { version: '2' }));
      await becomes('broken', { version: '2' });
      const isApplied = (found: KubeJson) => stackOf(found, 'broken')?.state === 'Applied';
      await cluster().waitForStatus(isApplied, { subject: 'the stack to be well again' });
    });

    test('an object that another stack owns is refused, and says whose it is', async () => {
      await write('owner/map.yaml', configMap('owned', { by: 'owner' }));
      await becomes('owned', { by: 'owner' });
      await write('thief/map.yaml', configMap('owned', { by: 'thief' }));
      const isFailed = (found: KubeJson) => stackOf(found, 'thief')?.state === 'Failed';
      const status = await cluster().waitForStatus(isFailed, {
        subject: 'the second owner to fail',
      });
      expect(stackOf(status, 'thief')?.message).toContain('owner');
      expect(await dataOf('owned')).toEqual({ by: 'owner' });
    });
  });
}

function stackOf(status: KubeJson, name: string): KubeJson {
  return status.stacks.find((stack: { name: string }) => stack.name === name);
}
