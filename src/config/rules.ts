import {
  type Cidr,
  cidrContains,
  cidrSize,
  cidrsOverlap,
  parseCidr,
  parseIpv4,
} from '../base/ip.ts';
import { componentProblems } from './component-rules.ts';
import type { HostFacts } from './host-facts.ts';
import { isNodeName } from './names.ts';
import { nodeAddressOf } from './node-address.ts';
import type { ClusterConfig } from './types.ts';

/** One thing wrong with a configuration: where, and what. */
export interface Problem {
  /** `spec.network.podCIDR`; empty for the whole document. */
  readonly path: string;
  readonly message: string;
  /** Further fields that the problem comes from. */
  readonly otherPaths?: readonly string[];
}

/** Rules between fields, which no single field can break. */
export function configProblems(config: ClusterConfig): Problem[] {
  return [
    ...networkProblems(config),
    ...portProblems(config),
    ...addressProblems('spec.api.address', config.spec.api.address),
    ...addressProblems('spec.api.externalAddress', config.spec.api.externalAddress),
    ...labelProblems(config.spec.node.labels),
    ...componentProblems(config.spec),
  ];
}

/**
 * What the configuration asks of this machine and cannot have: an address or the gateway inside the cluster's own
 * networks (connections to it would vanish without a word), or a host name that is no node name.
 */
export function hostProblems(config: ClusterConfig, host: HostFacts): Problem[] {
  const { network, node, api } = config.spec;
  const networks = [
    { path: 'spec.network.podCIDR', text: network.podCIDR },
    { path: 'spec.network.serviceCIDR', text: network.serviceCIDR },
  ];
  const addresses = [
    ...host.addresses.map((entry) => ({
      address: entry.address,
      what: `address ${entry.address} of ${entry.interface}`,
    })),
    ...(host.defaultGateway === undefined
      ? []
      : [{ address: host.defaultGateway, what: `default gateway ${host.defaultGateway}` }]),
    ...(api.address === ''
      ? []
      : [{ address: api.address, what: `spec.api.address ${api.address}` }]),
  ];
  const own = addresses.filter((entry) => !isOurBridge(entry.address, host));
  const inside = networks.flatMap(({ path, text }) =>
    own
      .filter((entry) => contains(text, entry.address))
      .map((entry) => ({
        path,
        message: `${text} contains this machine's ${entry.what}; choose a network that the machine does not use`,
      })),
  );
  return [
    ...unique(inside),
    ...nodeNameProblems(node.name, host),
    ...noAddressProblems(api.address, host),
  ];
}

/** kube-apiserver advertises one address, and refuses one that only this machine can reach. */
function noAddressProblems(configured: string, host: HostFacts): Problem[] {
  if (configured !== '' || nodeAddressOf(host) !== undefined) return [];
  return [
    {
      path: 'spec.api.address',
      message:
        'this machine has no IPv4 address besides loopback and link-local ones; connect it to a network, or set an address that it always has, ' +
        'such as one made with: ip address add 10.255.255.1/32 dev lo',
    },
  ];
}

/** @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ (--advertise-address) */
function addressProblems(path: string, address: string): Problem[] {
  const value = parseIpv4(address);
  if (value === undefined || !unusableNetworks.some((network) => contains(network, address))) {
    return [];
  }
  return [{ path, message: `${address} is no address that other machines and pods can reach` }];
}

/** This host, loopback, link-local, multicast and reserved. */
const unusableNetworks = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'];

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
const labelKey =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** kubelet does not start with a label that a node may not give itself. */
function labelProblems(labels: Readonly<Record<string, string>>): Problem[] {
  return Object.keys(labels).flatMap((key) => {
    const message = labelKeyProblem(key);
    return message === undefined ? [] : [{ path: `spec.node.labels.${key}`, message }];
  });
}

function labelKeyProblem(key: string): string | undefined {
  if (!labelKey.test(key)) return 'is not a label key such as example.com/rack';
  const [prefix = ''] = key.includes('/') ? key.split('/') : [];
  const isReserved = /(^|\.)(kubernetes|k8s)\.io$/.test(prefix);
  const isAllowed = /(^|\.)(node|kubelet)\.kubernetes\.io$/.test(prefix) || ownLabels.includes(key);
  return isReserved && !isAllowed
    ? `is reserved for Kubernetes: a node may only give itself ${ownLabels.join(', ')} and labels below node.kubernetes.io/`
    : undefined;
}

/** Labels of Kubernetes' own that a kubelet may set. @see https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction */
const ownLabels: readonly string[] = [
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
];

/** kube-router's bridge carries a pod address after the first start: that is as it should be. */
function isOurBridge(address: string, host: HostFacts): boolean {
  return host.addresses.some(
    (entry) =>
      entry.address === address && /^(kube-bridge|kube-dummy-if|kube-ipvs0)$/.test(entry.interface),
  );
}

function nodeNameProblems(configured: string, host: HostFacts): Problem[] {
  if (configured !== '') return [];
  const name = host.hostname.toLowerCase();
  if (isNodeName(name)) return [];
  return [
    {
      path: 'spec.node.name',
      message: `the host name "${host.hostname}" is not a node name; set spec.node.name to lower-case letters, digits, "-" and "."`,
    },
  ];
}

function networkProblems(config: ClusterConfig): Problem[] {
  const { network } = config.spec;
  const pods = parseCidr(network.podCIDR);
  const services = parseCidr(network.serviceCIDR);
  if (pods === undefined || services === undefined) return [];
  return [
    ...(cidrsOverlap(pods, services)
      ? [
          {
            path: 'spec.network.podCIDR',
            message: `${network.podCIDR} overlaps spec.network.serviceCIDR ${network.serviceCIDR}`,
            otherPaths: ['spec.network.serviceCIDR'],
          },
        ]
      : []),
    ...sizeProblems(pods, services, config),
  ];
}

/** A node takes a /24 of the pods; the cluster DNS is the tenth Service address; Kubernetes allows at most 2^20 Services. */
function sizeProblems(pods: Cidr, services: Cidr, config: ClusterConfig): Problem[] {
  const { network } = config.spec;
  const problems: Problem[] = [];
  if (pods.prefix > 24) {
    problems.push({
      path: 'spec.network.podCIDR',
      message: `${network.podCIDR} is too small: every node takes a /24 of it`,
    });
  }
  if (cidrSize(services) < 16 || services.prefix < 12) {
    problems.push({
      path: 'spec.network.serviceCIDR',
      message: `${network.serviceCIDR} must have a prefix from /12 to /28`,
    });
  }
  return problems;
}

function portProblems(config: ClusterConfig): Problem[] {
  const { api, storage, network } = config.spec;
  const used = [
    { path: 'spec.api.port', port: api.port },
    { path: 'spec.api.gatewayPort', port: api.gatewayPort },
    { path: 'spec.storage.etcd.clientPort', port: storage.etcd.clientPort },
    { path: 'spec.storage.etcd.peerPort', port: storage.etcd.peerPort },
  ];
  const clashes = used.flatMap((entry, index) =>
    used
      .slice(0, index)
      .filter((other) => other.port === entry.port)
      .map((other) => ({
        path: entry.path,
        message: `${entry.port} is also ${other.path}`,
        otherPaths: [other.path],
      })),
  );
  const [low = 0, high = 0] = network.nodePortRange.split('-').map(Number);
  const range =
    low >= 1 && low <= high && high <= 65_535
      ? []
      : [
          {
            path: 'spec.network.nodePortRange',
            message: `${network.nodePortRange} is not a range of ports`,
          },
        ];
  return [...clashes, ...range];
}

function contains(network: string, address: string): boolean {
  const cidr = parseCidr(network);
  const value = parseIpv4(address);
  return cidr !== undefined && value !== undefined && cidrContains(cidr, value);
}

function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem]));
  return [...seen.values()];
}
