import { createNatSite } from '../node/create-nat-site.ts';
import { createSite } from '../node/create-site.ts';
import type { BindMount, NatSite, Site, TestNode } from '../node/types.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { createProductNode, nodePaths } from './product.ts';
import { createToken, startWorker, type Worker } from './worker.ts';

/** The workers' names. */
export const edgeNames = ['edge-a', 'edge-b'] as const;
export type EdgeName = (typeof edgeNames)[number];

/** Both workers' address. */
export const edgeAddress = '192.168.77.10';

/** One worker at its site. A test that starts it again puts the new node and worker here. */
export interface Edge {
  readonly name: EdgeName;
  readonly site: NatSite;
  node: TestNode;
  worker: Worker;
}

/** A controller, and two workers behind two routers that let nothing in; both have one and the same address. */
export interface EdgeSites extends AsyncDisposable {
  readonly controller: TestNode;
  /** A test that starts the controller again puts the new one here. */
  cluster: Cluster;
  readonly edges: readonly Edge[];
  edge(name: EdgeName): Edge;
}

/** Makes the sites and nodes, starts all, and waits until everything is Ready and workers have the test image. */
export async function startEdgeSites(
  options: { readonly binds?: readonly BindMount[] } = {},
): Promise<EdgeSites> {
  const upstream = await createSite('edge-main');
  const made: (Site | TestNode)[] = [upstream];
  const dispose = async () => {
    for (const part of made.toReversed()) await part.destroy();
  };
  try {
    const controller = await createProductNode({
      name: 'edge-control',
      network: { site: upstream },
    });
    made.push(controller);
    const cluster = await startCluster(controller);
    const places: { name: EdgeName; site: NatSite; node: TestNode }[] = [];
    for (const name of edgeNames) {
      const site = await createNatSite({ name, upstream });
      made.push(site);
      const node = await createEdgeNode(name, site, options);
      made.push(node);
      places.push({ name, site, node });
    }
    await cluster.waitReady();
    const edges: Edge[] = [];
    for (const place of places) {
      const token = await createToken(cluster);
      edges.push({ ...place, worker: await startWorker(place.node, { token }) });
    }
    for (const { worker } of edges) await worker.waitReady();
    for (const { node } of edges) await importTestImage(node);
    const edge = (wanted: EdgeName) => {
      const found = edges.find(({ name }) => name === wanted);
      if (found === undefined) throw new Error(`no worker ${wanted}`);
      return found;
    };
    return { controller, cluster, edges, edge, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The machine at a site, on its disk where it had one. `wantsDefaultRoute: false`: its router is off. */
export function createEdgeNode(
  name: EdgeName,
  site: NatSite,
  options: { readonly binds?: readonly BindMount[]; readonly wantsDefaultRoute?: boolean } = {},
): Promise<TestNode> {
  const { binds = [], wantsDefaultRoute = true } = options;
  return createProductNode({
    name,
    binds,
    network: { site, address: edgeAddress, wantsDefaultRoute },
  });
}

async function importTestImage(node: TestNode): Promise<void> {
  await node.run([
    ...[nodePaths.executable, 'ctr', 'images', 'import', `${nodePaths.testImages}/busybox.tar`],
  ]);
}
