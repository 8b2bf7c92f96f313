import { nodeRbac } from '../../../src/addons/node-rbac.ts';
import type { AddonContext } from '../../../src/addons/types.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import { type NodeObject, nodeResource, podResource } from '../../../src/reconcilers/resources.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';

/** A real API server with the packaged objects about nodes, and ways to play its nodes. */
export interface TestCluster {
  readonly controlPlane: TestControlPlane;
  readonly admin: KubeClient;
  /** Talks as the kubelet of a node, with a certificate of its own. */
  kubelet(nodeName: string): Promise<KubeClient>;
  /** A worker's token as the API knows it, and a client that has nothing else. */
  bearer(tokenId: string, group: string): Promise<KubeClient>;
  createNode(name: string, node?: NodeParts): Promise<void>;
  createPod(name: string, spec: Record<string, unknown>, status?: object): Promise<void>;
  createSlice(name: string, port: number, endpoints: readonly object[]): Promise<void>;
  stop(): Promise<void>;
}

export interface NodeParts {
  readonly podCIDR?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly status?: NodeObject['status'];
}

export async function startCluster(
  apiServerFlags: readonly string[] = ['--enable-admission-plugins=NodeRestriction'],
): Promise<TestCluster> {
  const controlPlane = await startControlPlane({ apiServerFlags });
  const { clientCertificate, connect } = controlPlane;
  const admin = connect();
  await applyNodeRbac(admin);
  await admin.create(object('v1', 'ServiceAccount', { name: 'default', namespace: 'default' }));
  return {
    controlPlane,
    admin,
    kubelet: async (nodeName) =>
      connect(await clientCertificate(`system:node:${nodeName}`, ['system:nodes'])),
    bearer: async (tokenId, group) => connect({ token: await createToken(admin, tokenId, group) }),
    createNode: (name, node = {}) => createNode(admin, name, node),
    createPod: (name, spec, status) => createPod(admin, { name, spec, status }),
    createSlice: async (name, port, endpoints) => {
      const ports = [{ name: 'p', port, protocol: 'TCP' }];
      const metadata = { name, namespace: 'default' };
      const slice = object('discovery.k8s.io/v1', 'EndpointSlice', metadata);
      await admin.create({ ...slice, addressType: 'IPv4', ports, endpoints });
    },
    stop: controlPlane.stop,
  };
}

/** The stack that the deployer applies: packaged objects need nothing of the context. */
async function applyNodeRbac(admin: KubeClient): Promise<void> {
  for (const packaged of nodeRbac.planStack({} as AddonContext).objects) {
    await admin.apply(packaged, { fieldManager: 'mini-k8s', force: true });
  }
}

async function createToken(admin: KubeClient, tokenId: string, group: string): Promise<string> {
  const secret = '0123456789abcdef';
  await admin.create({
    ...object('v1', 'Secret', { name: `bootstrap-token-${tokenId}`, namespace: 'kube-system' }),
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': tokenId,
      'token-secret': secret,
      'usage-bootstrap-authentication': 'true',
      'auth-extra-groups': group,
    },
  });
  return `${tokenId}.${secret}`;
}

async function createNode(admin: KubeClient, name: string, node: NodeParts): Promise<void> {
  const { podCIDR, labels = {}, status } = node;
  const spec = podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR] };
  await admin.create({ ...object('v1', 'Node', { name, labels }), spec });
  if (status === undefined) return;
  const options = { type: 'merge', subresource: 'status' } as const;
  await admin.patch({ resource: nodeResource, name }, { status }, options);
}

async function createPod(
  admin: KubeClient,
  pod: { name: string; spec: Record<string, unknown>; status: object | undefined },
): Promise<void> {
  const { name, status } = pod;
  const spec = {
    automountServiceAccountToken: false,
    containers: [{ name: 'main', image: 'none' }],
    ...pod.spec,
  };
  await admin.create({ ...object('v1', 'Pod', { name, namespace: 'default' }), spec });
  if (status === undefined) return;
  const ref = { resource: podResource, namespace: 'default', name };
  await admin.patch(ref, { status }, { type: 'merge', subresource: 'status' });
}

export function object(
  apiVersion: string,
  kind: string,
  metadata: KubeObject['metadata'],
): KubeObject {
  return { apiVersion, kind, metadata };
}
