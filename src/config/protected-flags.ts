import type { ExtraArgsComponent } from './types.ts';

/** Why a flag of a component is not the user's to set. */
type Reasons = Readonly<Record<string, string>>;

const certificates = 'mini-k8s makes the certificates, renews them, and tells everybody about them';
const ports = 'other components and the probes of mini-k8s look for it there';
const probes = 'the probes of mini-k8s look for it there';
const etcdPlace = 'the API server, snapshots and probes look for etcd there';
const ownDirectory = 'reset, snapshots and upgrades look for it there';
const frontProxy = 'aggregated APIs, such as that of metrics-server, know the API server by it';
const field = (name: string) => `set ${name} instead, by which the other components know it too`;

/** Flags that go together with what mini-k8s does elsewhere, by component. */
export const protectedFlags: Readonly<Record<ExtraArgsComponent, Reasons>> = {
  etcd: {
    ...sameFor(certificates, [
      ...['cert-file', 'key-file', 'client-cert-auth', 'client-cert-file', 'client-key-file'],
      ...['trusted-ca-file', 'peer-cert-file', 'peer-key-file', 'peer-client-cert-auth'],
      ...['peer-client-cert-file', 'peer-client-key-file', 'peer-trusted-ca-file'],
    ]),
    ...sameFor(field('spec.storage.etcd.clientPort'), [
      'listen-client-urls',
      'advertise-client-urls',
    ]),
    ...sameFor(field('spec.storage.etcd.peerPort'), [
      'listen-peer-urls',
      'initial-advertise-peer-urls',
    ]),
    ...sameFor(etcdPlace, ['listen-metrics-urls', 'name', 'initial-cluster', 'config-file']),
    'data-dir': ownDirectory,
    'wal-dir': ownDirectory,
    'unsafe-no-fsync': 'a power cut would take the cluster with it',
  },
  'kube-apiserver': {
    ...sameFor(certificates, [
      ...['client-ca-file', 'tls-cert-file', 'tls-private-key-file', 'cert-dir'],
      ...['etcd-cafile', 'etcd-certfile', 'etcd-keyfile', 'kubelet-certificate-authority'],
      ...['kubelet-client-certificate', 'kubelet-client-key', 'service-account-key-file'],
      ...['service-account-signing-key-file', 'proxy-client-cert-file', 'proxy-client-key-file'],
    ]),
    ...sameFor(frontProxy, [
      ...['requestheader-allowed-names', 'requestheader-client-ca-file'],
      ...['requestheader-extra-headers-prefix', 'requestheader-group-headers'],
      ...['requestheader-username-headers', 'enable-aggregator-routing'],
    ]),
    'admission-control-config-file': 'the limits of events are in it',
    'advertise-address': field('spec.api.address'),
    'allow-privileged': 'the pod network runs in a privileged pod',
    'anonymous-auth': 'only the probes may come without credentials, and they have to',
    'authentication-config': 'only the probes may come without credentials, and they have to',
    'authorization-config': 'it takes the place of --authorization-mode, which nodes need',
    'bind-address': ports,
    'egress-selector-config-file': 'it leads to nodes through the tunnel',
    'enable-bootstrap-token-auth': 'workers join by it',
    'encryption-provider-config':
      'Secrets are written with its key, and could not be read any more',
    'endpoint-reconciler-type': 'workers find the controllers by it',
    'etcd-prefix': 'the objects of the cluster are below it',
    'etcd-servers': field('spec.storage.etcd.clientPort'),
    'kubelet-preferred-address-types': 'the tunnel finds nodes by their names',
    'secure-port': field('spec.api.port'),
    'service-cluster-ip-range': field('spec.network.serviceCIDR'),
    'service-node-port-range': field('spec.network.nodePortRange'),
  },
  'kube-controller-manager': {
    ...sameFor(certificates, [
      ...['cluster-signing-cert-file', 'cluster-signing-key-file', 'root-ca-file', 'cert-dir'],
      ...['service-account-private-key-file', 'tls-cert-file', 'tls-private-key-file'],
      ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'],
    ]),
    'allocate-node-cidrs': 'the pod network has its addresses by it',
    'bind-address': probes,
    'cluster-cidr': field('spec.network.podCIDR'),
    'cluster-name': field('metadata.name'),
    'flex-volume-plugin-dir': 'kubelet looks for the same drivers there',
    'leader-elect': 'mini-k8s turns it on where there is more than one controller',
    'node-cidr-mask-size': 'every node has a /24 of the pods',
    'secure-port': probes,
    'service-cluster-ip-range': field('spec.network.serviceCIDR'),
    'use-service-account-credentials': 'each controller would have the rights of all',
  },
  'kube-scheduler': {
    ...sameFor(certificates, [
      ...['kubeconfig', 'tls-cert-file', 'tls-private-key-file', 'cert-dir'],
      ...['authentication-kubeconfig', 'authorization-kubeconfig'],
    ]),
    'bind-address': probes,
    'leader-elect': 'mini-k8s turns it on where there is more than one controller',
    'secure-port': probes,
  },
  containerd: {
    config: 'the file is made from spec.registries, spec.proxy and what the machine can do',
    ...sameFor(ownDirectory, ['root', 'state']),
    address: 'kubelet looks for it there',
  },
  kubelet: {
    ...sameFor(certificates, ['kubeconfig', 'bootstrap-kubeconfig', 'cert-dir']),
    config: 'set fields of it in spec.kubelet',
    'config-dir': 'set fields in spec.kubelet',
    'container-runtime-endpoint': 'containerd listens there',
    'hostname-override': field('spec.node.name'),
    'node-ip': field('spec.api.address'),
    'node-labels': field('spec.node.labels'),
    'register-with-taints': field('spec.node.taints'),
    'root-dir': 'CSI drivers look for it there',
  },
  'kube-proxy': {
    config: 'it is made from spec.network',
    kubeconfig: certificates,
    master: certificates,
    'cluster-cidr': field('spec.network.podCIDR'),
    'hostname-override': field('spec.node.name'),
    'proxy-mode': field('spec.network.kubeProxy.mode'),
  },
};

/** Lists that may be longer than ours, and not shorter. */
export const neededEntries: Readonly<
  Record<string, { readonly entries: readonly string[]; readonly why: string } | undefined>
> = {
  'kube-apiserver.enable-admission-plugins': {
    entries: ['NodeRestriction'],
    why: 'without it each node could change every other one',
  },
  'kube-apiserver.authorization-mode': {
    entries: ['Node', 'RBAC'],
    why: 'nodes and addons have their rights by them',
  },
  'kube-controller-manager.controllers': {
    entries: ['bootstrapsigner', 'tokencleaner'],
    why: 'workers join by them',
  },
};

function sameFor(reason: string, flags: readonly string[]): Reasons {
  return Object.fromEntries(flags.map((flag) => [flag, reason]));
}
