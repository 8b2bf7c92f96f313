import {
  type CsrDecision,
  checkKeyAndUse,
  checkSubject,
  deny,
  isReservedName,
  nodeOfCommonName,
  pending,
  type ReadRequest,
  requestingNode,
  requestingToken,
} from './csr-checks.ts';
import type { CsrObject } from './resources.ts';

/** What the controllers remember of a machine that joined. */
export interface JoinFacts {
  /** Of the token that let it in. */
  readonly tokenId: string;
  /** Milliseconds since the epoch, of the last join by token. */
  readonly joinedAtMs: number;
  /** By `mini-k8s node remove`; a fresh token clears it. */
  readonly isRemoved: boolean;
}

/** What is known besides the request itself, of the node that it names. */
export interface ClientCsrFacts {
  readonly request: ReadRequest;
  /** Undefined when no machine has joined by the name. */
  readonly record: JoinFacts | undefined;
  readonly hasNode: boolean;
  /** A controller's own node: it never joins by token. */
  readonly isControllerNode: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Between joining and the kubelet's first request lies the download of everything that a node runs, over whatever
 * link there is. The token's own end is most often sooner.
 */
const maxJoinAgeMs = 24 * 3600 * 1000;

/**
 * Whether a kubelet may have the client certificate that it asks for: with a token only for the name by which that
 * token let a machine in, with a certificate only for the same name again. Pure.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
 */
export function decideClientCsr(csr: CsrObject, facts: ClientCsrFacts): CsrDecision {
  const { request } = facts;
  if ('malformed' in request) {
    return deny('Malformed', `the request cannot be read: ${request.malformed}`);
  }
  const nodeName = nodeOfCommonName(request.commonName);
  if (nodeName === undefined) {
    return deny('SubjectMismatch', `the common name ${request.commonName} is not that of a node`);
  }
  if (isReservedName(nodeName)) {
    return deny('ReservedName', `the name ${nodeName} is reserved for mini-k8s itself`);
  }
  const problem =
    checkSubject(request, `system:node:${nodeName}`) ??
    checkKeyAndUse(request, csr, 'client auth') ??
    checkNoNames(request);
  if (problem !== undefined) return problem;
  return requestingNode(csr) === undefined
    ? decideBootstrap(csr, nodeName, facts)
    : decideRenewal(csr, nodeName, facts);
}

function checkNoNames(request: Exclude<ReadRequest, { malformed: string }>) {
  const { dnsNames, ipAddresses, emailAddresses, uris, otherNameCount } = request;
  const names = dnsNames.length + ipAddresses.length + emailAddresses.length + uris.length;
  return names + otherNameCount === 0
    ? undefined
    : deny('InvalidNames', 'a client certificate of a node has no names besides its subject');
}

/** What a later join can mend stays pending: kubelet asks again with the same key, and finds the same request. */
function decideBootstrap(csr: CsrObject, nodeName: string, facts: ClientCsrFacts): CsrDecision {
  const { record, isControllerNode, now } = facts;
  const tokenId = requestingToken(csr);
  if (tokenId === undefined) {
    return pending('NotAWorker', `the requester ${csr.spec.username ?? ''} has no worker's token`);
  }
  if (isControllerNode) {
    return deny('ControllerName', `${nodeName} is a controller, and controllers do not join`);
  }
  if (record === undefined) {
    return pending('NotJoined', `no machine has joined as ${nodeName}`);
  }
  if (record.tokenId !== tokenId) {
    const message = `${nodeName} joined with token ${record.tokenId}, not with ${tokenId}`;
    return { decision: 'delete', reason: 'OtherToken', message };
  }
  if (record.isRemoved) {
    return pending('NodeRemoved', `node ${nodeName} was removed: it needs a fresh token`);
  }
  // The other way round, a record without a readable time would be approved.
  if (!(now - record.joinedAtMs <= maxJoinAgeMs)) {
    return pending('JoinTooOld', `${nodeName} joined more than a day ago: it has to join again`);
  }
  return {
    decision: 'approve',
    reason: 'NodeJoined',
    message: `a machine joined as ${nodeName} with token ${tokenId}`,
  };
}

function decideRenewal(csr: CsrObject, nodeName: string, facts: ClientCsrFacts): CsrDecision {
  const { record, isControllerNode, hasNode } = facts;
  if (requestingNode(csr) !== nodeName) {
    return deny('SubjectMismatch', `${csr.spec.username} asks for the identity of ${nodeName}`);
  }
  if (!isControllerNode && record === undefined) {
    return pending('NotJoined', `no machine has joined as ${nodeName}`);
  }
  if (record?.isRemoved === true) {
    return pending('NodeRemoved', `node ${nodeName} was removed: it needs a fresh token`);
  }
  if (!hasNode) return pending('NodeNotFound', `there is no node ${nodeName}`);
  return {
    decision: 'approve',
    reason: 'NodeClientCertificate',
    message: `node ${nodeName} renews its own certificate`,
  };
}
