import { reservedDomain } from '../base/gateway-names.ts';
import { parseIpv4 } from '../base/ip.ts';
import type { CertificateRequest } from '../pki/certificate-request.ts';
import type { CsrObject } from './resources.ts';

export const kubeletServingSigner = 'kubernetes.io/kubelet-serving';
export const kubeletClientSigner = 'kubernetes.io/kube-apiserver-client-kubelet';

/**
 * `pending` may become another answer without a new request; `deny` never. `delete` is for a request that nobody waits
 * for in earnest and that stands in the way of a better one.
 */
export interface CsrDecision {
  readonly decision: 'approve' | 'deny' | 'pending' | 'delete';
  /** One CamelCase word, as conditions have it. */
  readonly reason: string;
  readonly message: string;
}

/** The parsed `spec.request`, or why it could not be read. */
export type ReadRequest = CertificateRequest | { readonly malformed: string };

/** What a request is for, which decides who may approve it. */
export type CsrPurpose = 'serving' | 'bootstrap' | 'renewal';

const nodeUserPrefix = 'system:node:';
const bootstrapUserPrefix = 'system:bootstrap:';
/** Of the tokens that make a machine a worker. */
const workerGroup = 'system:bootstrappers:mini-k8s:worker';
const maxExpirationSeconds = 367 * 24 * 3600;

/** The purpose of a request that nobody has answered yet; undefined when it is not ours to answer. */
export function purposeOf(csr: CsrObject): CsrPurpose | undefined {
  if (!isUndecided(csr)) return undefined;
  if (csr.spec.signerName === kubeletServingSigner) {
    return requestingNode(csr) === undefined ? undefined : 'serving';
  }
  if (csr.spec.signerName !== kubeletClientSigner) return undefined;
  if (requestingNode(csr) !== undefined) return 'renewal';
  return requestingToken(csr) === undefined ? undefined : 'bootstrap';
}

/** The node that the requester is, or undefined when it is no node. */
export function requestingNode(csr: CsrObject): string | undefined {
  const { username = '', groups = [] } = csr.spec;
  if (!username.startsWith(nodeUserPrefix) || !groups.includes('system:nodes')) return undefined;
  return username.slice(nodeUserPrefix.length);
}

/** Id of the worker's token that the requester has, or undefined when it came without one. */
export function requestingToken(csr: CsrObject): string | undefined {
  const { username = '', groups = [] } = csr.spec;
  if (!username.startsWith(bootstrapUserPrefix) || !groups.includes(workerGroup)) return undefined;
  return username.slice(bootstrapUserPrefix.length);
}

/** The node that a common name says; undefined for a name that no node can have. */
export function nodeOfCommonName(commonName: string): string | undefined {
  if (!commonName.startsWith(nodeUserPrefix)) return undefined;
  const name = commonName.slice(nodeUserPrefix.length);
  const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  const isName = name.length <= 253 && dnsSubdomain.test(name);
  // A name that reads as an address would be routed as one.
  return isName && parseIpv4(name) === undefined ? name : undefined;
}

/** Servers of ours have names below this, and clients verify them by it. */
export function isReservedName(nodeName: string): boolean {
  return `.${nodeName}`.endsWith(reservedDomain);
}

function isUndecided(csr: CsrObject): boolean {
  const isAnswered = (csr.status?.conditions ?? []).some(({ type }) =>
    ['Approved', 'Denied', 'Failed'].includes(type),
  );
  return !isAnswered && (csr.status?.certificate ?? '') === '';
}

/** The subject that the signer wants, of the one who holds the key. */
export function checkSubject(
  request: CertificateRequest,
  commonName: string,
): CsrDecision | undefined {
  if (!request.isSignatureValid) {
    return deny('InvalidSignature', 'the requester has not proven that it holds the private key');
  }
  if (request.commonName !== commonName) {
    return deny('SubjectMismatch', `the common name ${request.commonName} is not ${commonName}`);
  }
  const [organization] = request.organizations;
  if (request.organizations.length !== 1 || organization !== 'system:nodes') {
    return deny('SubjectMismatch', 'the organization is not exactly system:nodes');
  }
  if (request.otherSubjectAttributes.length > 0) {
    return deny('SubjectMismatch', 'the subject has attributes besides O and CN');
  }
  return undefined;
}

export function checkKeyAndUse(
  request: CertificateRequest,
  csr: CsrObject,
  use: 'server auth' | 'client auth',
): CsrDecision | undefined {
  const { keyType, keyBits } = request;
  const isStrong =
    keyType === 'Ed25519' ||
    (keyType === 'ECDSA' && keyBits >= 256) ||
    (keyType === 'RSA' && keyBits >= 2048);
  if (!isStrong) return deny('WeakKey', `the key (${keyType}, ${keyBits} bits) is too weak`);
  const usages = csr.spec.usages ?? [];
  const allowed = ['digital signature', 'key encipherment', use];
  if (!usages.includes(use) || usages.some((usage) => !allowed.includes(usage))) {
    return deny('InvalidUsages', `the usages [${usages.join(', ')}] are not those of ${use}`);
  }
  if ((csr.spec.expirationSeconds ?? 0) > maxExpirationSeconds) {
    return deny('LifetimeTooLong', `${csr.spec.expirationSeconds} s is more than 367 days`);
  }
  return undefined;
}

export function deny(reason: string, message: string): CsrDecision {
  return { decision: 'deny', reason, message };
}

export function pending(reason: string, message: string): CsrDecision {
  return { decision: 'pending', reason, message };
}
