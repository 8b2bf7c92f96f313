import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { runLocalNode } from '../../../src/reconcilers/local-node.ts';
import { controlPlaneLabels, createNodeLabels } from '../../../src/reconcilers/node-labels.ts';
import { type NodeObject, nodeResource } from '../../../src/reconcilers/resources.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';

const role = 'node-role.kubernetes.io/control-plane';
const node = { resource: nodeResource, name: 'edge-1' };
const attempts: (string | undefined)[] = [];
let controlPlane: TestControlPlane;
let client: KubeClient;
const abort = new AbortController();
let loops: Promise<unknown>;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  client = controlPlane.connect();
  const failing = {
    name: 'failing once',
    reconcile: async (object: NodeObject | undefined) => {
      attempts.push(object?.metadata.name);
      if (attempts.length === 1) throw new Error('first time');
    },
  };
  const labels = createNodeLabels({ client, labels: controlPlaneLabels });
  const observers = [labels, failing];
  loops = runLocalNode(
    { client, nodeName: 'edge-1', logger: silentLogger, observers },
    abort.signal,
  );
});

afterAll(async () => {
  abort.abort();
  await loops;
  await controlPlane?.stop();
});

const until = (subject: string, probe: () => Promise<boolean> | boolean) =>
  waitFor(probe, {
    subject,
    timeoutMs: 60_000,
    intervalMs: 20,
    describe: () => `the observer saw ${attempts.join(', ')}`,
  });
const readNode = () => client.get<NodeObject>(node);

it('labels the Node when it comes, and again when the label goes; other labels stay', async () => {
  expect(await readNode()).toBeUndefined();
  const metadata = { name: 'edge-1', labels: { mine: 'yes' } };
  await client.create({ apiVersion: 'v1', kind: 'Node', metadata });
  const isLabelled = async () => (await readNode())?.metadata.labels?.[role] === '';
  await until('the label', isLabelled);
  const change = { metadata: { labels: { [role]: null } } };
  await client.patch(node, change, { type: 'merge' });
  await until('the label again', isLabelled);
  expect((await readNode())?.metadata.labels).toMatchObject({ mine: 'yes' });
});

it('tries an observer again after an error, and tells it when the Node is gone', async () => {
  await until('another try', () => attempts.length > 1);
  await client.delete(node);
  await until('the news', () => attempts.at(-1) === undefined);
  expect(await readNode()).toBeUndefined();
});
