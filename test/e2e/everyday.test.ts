import { afterAll, beforeAll, describe } from 'vitest';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { type OutsideKubectl, openOutside } from '../support/e2e/outside.ts';
import { createProductNode } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';
import { describeAccess } from './everyday/access.suite.ts';
import { describeDocs } from './everyday/docs.suite.ts';
import { describeManifests } from './everyday/manifests.suite.ts';
import { describeNetwork } from './everyday/network.suite.ts';
import { describePods } from './everyday/pods.suite.ts';
import { describeStatus } from './everyday/status.suite.ts';

// One cluster for all that does not disturb each other; its start, from nothing to Ready, is the first thing proven.
describe.skipIf(nodeSkipReason() !== undefined)('a cluster on 1 vCPU and 1 GiB', () => {
  let node: TestNode | undefined;
  let cluster: Cluster | undefined;
  let outside: OutsideKubectl | undefined;
  const current = () => {
    if (cluster === undefined) throw new Error('the cluster was not started');
    return cluster;
  };
  const kubectl = () => {
    if (outside === undefined) throw new Error('the cluster was not started');
    return outside;
  };

  beforeAll(async () => {
    node = await createProductNode({ name: 'everyday' });
    cluster = await startCluster(node);
    await cluster.waitReady();
    await cluster.importTestImage();
    outside = await openOutside(cluster);
  });
  afterAll(async () => {
    await outside?.close();
    await node?.destroy();
  });
  explainFailures(() => cluster);

  describe.concurrent('in everyday use', () => {
    describeManifests(current, kubectl);
    describeNetwork(current, kubectl);
    describePods(current, kubectl);
    describeAccess(current, kubectl);
    describeStatus(current);
    describeDocs(current);
  });
});
