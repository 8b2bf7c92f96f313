import { afterAll, beforeAll, describe } from 'vitest';
import { startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { snapshotMachine } from '../support/e2e/faults-snapshot.ts';
import { createProductNode } from '../support/e2e/product.ts';
import { createNatSite } from '../support/node/create-nat-site.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { Site } from '../support/node/types.ts';
import { describeBadInput } from './join/bad-input.suite.ts';
import { describeMachines } from './join/machines.suite.ts';
import { describeNames } from './join/names.suite.ts';
import { describeProxy } from './join/proxy.suite.ts';
import { describeRemoval } from './join/removal.suite.ts';
import type { JoinScene } from './join/scene.ts';
import { describeTokens } from './join/tokens.suite.ts';

// One controller and machines that join, are refused, die and come back. In order: each suite says what it leaves.
describe.skipIf(nodeSkipReason() !== undefined)('joining', { timeout: 120_000 }, () => {
  let scene: JoinScene | undefined;
  const undo: (() => Promise<unknown>)[] = [];
  const current = () => {
    if (scene === undefined) throw new Error('the cluster was not started');
    return scene;
  };

  beforeAll(async () => {
    const keep = <T extends { destroy(): Promise<void> }>(made: T): T => {
      undo.unshift(() => made.destroy());
      return made;
    };
    const site = keep(await createSite('join-main'));
    const make = async (name: string, at: Site) =>
      keep(await createProductNode({ name, network: { site: at } }));
    const cluster = await startCluster(await make('join-control', site));
    const closedSite = keep(await createNatSite({ name: 'join-closed', upstream: site }));
    const [spare, first] = [await make('join-spare', site), await make('join-first', site)];
    const closed = await make('join-closed', closedSite);
    const untouched = await snapshotMachine(spare);
    await cluster.waitForStatus((status) => status.node.isReady, {
      subject: 'the controller to be Ready',
    });
    scene = { site, closedSite, cluster, spare, untouched, first, closed };
  });
  afterAll(async () => {
    for (const step of undo) await step();
  });
  explainFailures(() => scene?.cluster);

  describeTokens(current);
  describeBadInput(current);
  describeNames(current);
  describeProxy(current);
  describeRemoval(current);
  describeMachines(current);
});
