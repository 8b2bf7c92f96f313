import { type Cidr, cidrContains, cidrSize, parseCidr, parseIpv4 } from '../base/ip.ts';
import { forbiddenAddress } from './forbidden-address.ts';

/** What routing needs of a Node object. */
export interface ClusterNode {
  readonly name: string;
  /** What kube-apiserver calls it by: the Hostname address; undefined when it reports none. */
  readonly hostname: string | undefined;
  /** IPv4, as the kubelet reports them: not to be trusted further than to that node. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  readonly kubeletPort: number;
}

/** One TCP endpoint of an EndpointSlice, outside the pod networks of nodes. */
export interface ClusterEndpoint {
  readonly address: string;
  readonly port: number;
  readonly nodeName: string;
}

/** A pod network and the nodes that have it: more than one is a mistake, or an attack. */
export interface PodNetwork {
  readonly cidr: Cidr;
  readonly nodeNames: ReadonlySet<string>;
}

/** Endpoints above this number are not kept: hostNetwork pods behind Services are a handful for each node. */
const maxEndpoints = 16_384;

/** Nodes and endpoints with one hash look-up for each question; memory grows with them and nothing else. */
export class ClusterIndex {
  readonly nodes = new Map<string, ClusterNode>();
  readonly #nodesByAddress = new Map<string, Set<string>>();
  readonly #nodesByHostname = new Map<string, Set<string>>();
  /** By prefix length, then by base address: few lengths are in use, most often one. */
  readonly #podNetworks = new Map<number, Map<number, Set<string>>>();
  readonly #slices = new Map<string, readonly ClusterEndpoint[]>();
  /** `address:port` to the nodes of the endpoints there, one entry for each slice that says so. */
  readonly #endpoints = new Map<string, string[]>();
  #endpointCount = 0;

  get endpointCount(): number {
    return this.#endpointCount;
  }

  setNode(node: ClusterNode): void {
    // A Node changes every few minutes in what is of no interest here.
    if (JSON.stringify(node) === JSON.stringify(this.nodes.get(node.name))) return;
    this.deleteNode(node.name);
    this.nodes.set(node.name, node);
    for (const address of node.addresses) addTo(this.#nodesByAddress, address, node.name);
    if (node.hostname !== undefined) addTo(this.#nodesByHostname, node.hostname, node.name);
    const networks = cidrsOf(node);
    for (const { prefix, base } of networks) {
      const ofLength = this.#podNetworks.get(prefix) ?? new Map<number, Set<string>>();
      this.#podNetworks.set(prefix, ofLength);
      addTo(ofLength, base, node.name);
    }
    this.#forgetEndpointsIn(networks);
  }

  deleteNode(name: string): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    this.nodes.delete(name);
    for (const address of node.addresses) removeFrom(this.#nodesByAddress, address, name);
    if (node.hostname !== undefined) removeFrom(this.#nodesByHostname, node.hostname, name);
    for (const { prefix, base } of cidrsOf(node)) {
      const ofLength = this.#podNetworks.get(prefix);
      if (ofLength === undefined) continue;
      removeFrom(ofLength, base, name);
      if (ofLength.size === 0) this.#podNetworks.delete(prefix);
    }
  }

  /** Replaces what is known of one slice; endpoints in a node's pod network are left out. */
  setSlice(slice: string, endpoints: readonly ClusterEndpoint[]): void {
    this.deleteSlice(slice);
    const room = maxEndpoints - this.#endpointCount;
    const kept = endpoints.filter((endpoint) => !this.#isInPodNetwork(endpoint)).slice(0, room);
    if (kept.length === 0) return;
    this.#slices.set(slice, kept);
    this.#endpointCount += kept.length;
    for (const { address, port, nodeName } of kept) {
      const key = `${address}:${port}`;
      const names = this.#endpoints.get(key);
      if (names === undefined) this.#endpoints.set(key, [nodeName]);
      else names.push(nodeName);
    }
  }

  deleteSlice(slice: string): void {
    const endpoints = this.#slices.get(slice);
    if (endpoints === undefined) return;
    this.#slices.delete(slice);
    this.#endpointCount -= endpoints.length;
    for (const { address, port, nodeName } of endpoints) {
      const key = `${address}:${port}`;
      const names = this.#endpoints.get(key) ?? [];
      const at = names.indexOf(nodeName);
      if (at !== -1) names.splice(at, 1);
      if (names.length === 0) this.#endpoints.delete(key);
    }
  }

  sliceNames(): readonly string[] {
    return [...this.#slices.keys()];
  }

  /** Every pod network that the address is in, the most specific first. */
  podNetworksOf(address: number): readonly PodNetwork[] {
    const found: PodNetwork[] = [];
    for (const [prefix, ofLength] of this.#podNetworks) {
      const size = cidrSize({ base: 0, prefix });
      const base = address - (address % size);
      const nodeNames = ofLength.get(base);
      if (nodeNames !== undefined) found.push({ cidr: { base, prefix }, nodeNames });
    }
    return found.sort((a, b) => b.cidr.prefix - a.cidr.prefix);
  }

  /** Nodes that have an endpoint there, each once. */
  nodesOfEndpoint(address: string, port: number): readonly string[] {
    return [...new Set(this.#endpoints.get(`${address}:${port}`))];
  }

  nodesOfAddress(address: string): readonly string[] {
    return [...(this.#nodesByAddress.get(address) ?? [])];
  }

  nodesOfHostname(hostname: string): readonly string[] {
    return [...(this.#nodesByHostname.get(hostname) ?? [])];
  }

  #isInPodNetwork({ address }: ClusterEndpoint): boolean {
    const value = parseIpv4(address);
    // What can never be a target is not kept either.
    if (value === undefined || forbiddenAddress(value) !== undefined) return true;
    return this.podNetworksOf(value).length > 0;
  }

  /** Of a node that got its pod network after its first endpoints were seen. */
  #forgetEndpointsIn(networks: readonly Cidr[]): void {
    if (networks.length === 0) return;
    const isInside = ({ address }: ClusterEndpoint) =>
      networks.some((cidr) => cidrContains(cidr, parseIpv4(address) ?? -1));
    for (const [slice, endpoints] of this.#slices) {
      if (endpoints.some(isInside)) this.setSlice(slice, endpoints);
    }
  }
}

function cidrsOf(node: ClusterNode): readonly Cidr[] {
  return node.podCIDRs.flatMap((text) => parseCidr(text) ?? []);
}

function addTo<K>(map: Map<K, Set<string>>, key: K, name: string): void {
  const names = map.get(key);
  if (names === undefined) map.set(key, new Set([name]));
  else names.add(name);
}

function removeFrom<K>(map: Map<K, Set<string>>, key: K, name: string): void {
  const names = map.get(key);
  if (names?.delete(name) === true && names.size === 0) map.delete(key);
}
