import { afterAll, beforeAll, describe } from 'vitest';
import { edgeNamespace, edgePods } from '../support/e2e/edge-pods.ts';
import { type EdgeSites, startEdgeSites } from '../support/e2e/edge-sites.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { startPods } from '../support/e2e/objects.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import { describeBadLink } from './workers/bad-link.suite.ts';
import { describeControllerRestart } from './workers/controller-restart.suite.ts';
import { describeDocs } from './workers/docs.suite.ts';
import { describeNodes } from './workers/nodes.suite.ts';
import { describeOffline } from './workers/offline.suite.ts';
import { describeServed, servedBinds } from './workers/served.suite.ts';
import { describeSilentCut } from './workers/silent-cut.suite.ts';
import { describeVerbs } from './workers/verbs.suite.ts';

// One cluster for all; what disturbs it comes last, and leaves it whole.
describe.skipIf(nodeSkipReason() !== undefined)(
  'workers at two sites with the same private address',
  { timeout: 180_000 },
  () => {
    let sites: EdgeSites | undefined;
    const current = () => {
      if (sites === undefined) throw new Error('the cluster was not started');
      return sites;
    };

    beforeAll(async () => {
      sites = await startEdgeSites({ binds: await servedBinds() });
      await startPods(sites.cluster, edgeNamespace, edgePods());
    }, 280_000);
    afterAll(async () => {
      await sites?.[Symbol.asyncDispose]();
    });
    explainFailures(() => sites?.cluster);

    describeNodes(current);
    describeVerbs(current);
    describeDocs(current);
    describeServed(current);
    describeBadLink(current);
    describeControllerRestart(current);
    describeSilentCut(current);
    describeOffline(current);
  },
);
