import { type Cidr, cidrContains, parseCidr, parseIpv4 } from '../base/ip.ts';
import type { CertificateRequest } from '../pki/certificate-request.ts';
import {
  type CsrDecision,
  checkKeyAndUse,
  checkSubject,
  deny,
  isReservedName,
  pending,
  type ReadRequest,
  requestingNode,
} from './csr-checks.ts';
import { type CsrObject, type NodeObject, nodeIpAddresses } from './resources.ts';

/** What is known besides the request itself. */
export interface CsrFacts {
  readonly request: ReadRequest;
  /** The Node whose name the requester has; undefined when there is none. */
  readonly node: NodeObject | undefined;
  /** Addresses that this program itself knows to be the node's; undefined when it knows nothing of the node. */
  readonly allowedAddresses: readonly string[] | undefined;
  /** The node that this controller runs: a controller's addresses are its own. */
  readonly isLocalNode: boolean;
  /** Of the API and of controllers: never another node's. */
  readonly controllerAddresses: readonly string[];
  readonly podCIDR: string;
  readonly serviceCIDR: string;
}

/** A kubelet may ask a moment before its Node is there, never long before. */
const maxLeadMs = 120_000;
const maxAddresses = 8;

/**
 * Whether a kubelet may have the serving certificate that it asks for. The signer itself checks neither who owns the
 * names nor that the subject is the requester. Pure; whether the requester may make requests at all is asked apart.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
 */
export function decideCsr(csr: CsrObject, facts: CsrFacts): CsrDecision {
  const nodeName = requestingNode(csr);
  if (nodeName === undefined) {
    return pending('NotANode', `the requester ${csr.spec.username ?? ''} is not a node`);
  }
  if ('malformed' in facts.request) {
    return deny('Malformed', `the request cannot be read: ${facts.request.malformed}`);
  }
  return (
    checkSubject(facts.request, csr.spec.username ?? '') ??
    checkKeyAndUse(facts.request, csr, 'server auth') ??
    checkNames(facts.request, nodeName) ??
    checkForbiddenAddresses(facts.request.ipAddresses, facts) ??
    checkNode(csr, nodeName, facts.node) ??
    checkOwnAddresses(facts.request.ipAddresses, nodeName, facts) ?? {
      decision: 'approve',
      reason: 'NodeServingCertificate',
      message: `node ${nodeName} asks for its own name and addresses`,
    }
  );
}

/** Names decide which node is reached, so a node gets its own and no other, whatever its Node object says. */
function checkNames(request: CertificateRequest, nodeName: string): CsrDecision | undefined {
  const { dnsNames, ipAddresses } = request;
  if (isReservedName(nodeName)) {
    return deny('ReservedName', `the name ${nodeName} is reserved for mini-k8s itself`);
  }
  if (request.emailAddresses.length + request.uris.length + request.otherNameCount > 0) {
    return deny('InvalidNames', 'only DNS names and IP addresses can be certified');
  }
  if (dnsNames.length + ipAddresses.length === 0) {
    return deny('InvalidNames', 'there is neither a DNS name nor an IP address');
  }
  const foreign = dnsNames.find((name) => name !== nodeName);
  if (foreign !== undefined) {
    return deny('ForeignName', `the name ${foreign} is not that of node ${nodeName}`);
  }
  if (ipAddresses.length > maxAddresses) {
    return deny('InvalidNames', `more than ${maxAddresses} addresses`);
  }
  return undefined;
}

function checkForbiddenAddresses(
  addresses: readonly string[],
  facts: CsrFacts,
): CsrDecision | undefined {
  const networks = [
    ...hostlessNetworks,
    { cidr: parseCidr(facts.podCIDR), what: 'in the pod network' },
    { cidr: parseCidr(facts.serviceCIDR), what: 'in the service network' },
  ];
  for (const address of addresses) {
    const value = parseIpv4(address);
    if (value === undefined) return deny('ForeignAddress', `${address} is not an IPv4 address`);
    const network = networks.find(({ cidr }) => cidr !== undefined && cidrContains(cidr, value));
    if (network !== undefined) {
      return deny('ForeignAddress', `the address ${address} is ${network.what}`);
    }
    if (!facts.isLocalNode && facts.controllerAddresses.includes(address)) {
      return deny('ForeignAddress', `the address ${address} is a controller's`);
    }
  }
  return undefined;
}

const hostlessNetworks: readonly { readonly cidr: Cidr; readonly what: string }[] = [
  { cidr: { base: 0, prefix: 8 }, what: 'no address of a host' },
  { cidr: { base: 0x7f000000, prefix: 8 }, what: 'a loopback address' },
  { cidr: { base: 0xa9fe0000, prefix: 16 }, what: 'a link-local address' },
  { cidr: { base: 0xe0000000, prefix: 3 }, what: 'a multicast or reserved address' },
];

function checkNode(
  csr: CsrObject,
  nodeName: string,
  node: NodeObject | undefined,
): CsrDecision | undefined {
  if (node === undefined) return pending('NodeNotFound', `there is no node ${nodeName} yet`);
  if (node.metadata.deletionTimestamp !== undefined) {
    return pending('NodeDeleting', `node ${nodeName} is being deleted`);
  }
  const requestedAt = Date.parse(csr.metadata.creationTimestamp ?? '');
  const registeredAt = Date.parse(node.metadata.creationTimestamp ?? '');
  if (registeredAt - requestedAt > maxLeadMs) {
    return pending('OlderThanNode', `the request is older than the node ${nodeName} of today`);
  }
  return undefined;
}

/** Both must agree: a kubelet can edit its own Node's addresses, and what we know may be older than the Node. */
function checkOwnAddresses(
  addresses: readonly string[],
  nodeName: string,
  facts: CsrFacts,
): CsrDecision | undefined {
  const reported = nodeIpAddresses(facts.node);
  const unreported = addresses.find((address) => !reported.includes(address));
  if (unreported !== undefined) {
    return pending('AddressNotReported', `node ${nodeName} does not report ${unreported}`);
  }
  const unknown = addresses.find((address) => facts.allowedAddresses?.includes(address) !== true);
  if (unknown !== undefined) {
    return pending('AddressNotKnown', `${unknown} is not known to be of node ${nodeName}`);
  }
  return undefined;
}
