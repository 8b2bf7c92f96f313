import type { Cluster } from '../../support/e2e/cluster.ts';
import type { MachineSnapshot } from '../../support/e2e/faults-snapshot.ts';
import type { NatSite, Site, TestNode } from '../../support/node/types.ts';

/** What the suites share. */
export interface JoinScene {
  readonly site: Site;
  /** Behind a router that will let only the proxy's address through. */
  readonly closedSite: NatSite;
  readonly cluster: Cluster;
  /** A machine that is not in the cluster while a suite begins. */
  readonly spare: TestNode;
  /** The spare machine before anything was done on it. */
  readonly untouched: MachineSnapshot;
  /** Joins as `edge-1`, and dies. */
  readonly first: TestNode;
  /** At the closed site. */
  readonly closed: TestNode;
}
