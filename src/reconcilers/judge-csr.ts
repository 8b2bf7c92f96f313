import type { Clock } from '../base/time.ts';
import type { KubeClient, KubeObject } from '../kube-client/types.ts';
import {
  type CsrDecision,
  type CsrPurpose,
  nodeOfCommonName,
  type ReadRequest,
  requestingNode,
} from './csr-checks.ts';
import { decideClientCsr, type JoinFacts } from './decide-client-csr.ts';
import { decideCsr } from './decide-csr.ts';
import type { RateLimit } from './rate-limit.ts';
import { type CsrObject, type NodeObject, nodeResource } from './resources.ts';

/** What a controller knows of nodes. */
export interface CsrKnowledge {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** The node that this controller runs, when it runs one. */
  readonly localNodeName?: string;
  /** Names of the controllers' own nodes, whether they run workloads or not: no machine joins by one of these. */
  readonly controllerNames: () => readonly string[];
  /** What is remembered of the machine that joined by a name. */
  readonly joinRecord: (nodeName: string) => Promise<JoinFacts | undefined>;
  /** Addresses that this program knows to be a node's; undefined for a node it knows nothing of. */
  readonly allowedAddresses: (
    nodeName: string,
  ) => Promise<readonly string[] | undefined> | readonly string[] | undefined;
  /** Of the API and of controllers, now. */
  readonly controllerAddresses: () => readonly string[];
  readonly podCIDR: string;
  readonly serviceCIDR: string;
}

/** One run of the approver. */
export interface CsrJudge extends CsrKnowledge {
  readonly limit: RateLimit;
  readonly signal: AbortSignal;
}

/**
 * Gathers what there is to know about a request and decides it: whether the requester still has the right to ask is
 * asked of the API, and a node that asks too often waits.
 */
export async function judgeCsr(
  judge: CsrJudge,
  csr: CsrObject,
  purpose: CsrPurpose,
): Promise<CsrDecision> {
  const request = await readRequest(csr);
  const nodeName =
    requestingNode(csr) ?? ('malformed' in request ? '' : nodeOfCommonName(request.commonName));
  const facts = { request, nodeName: nodeName ?? '' };
  const decision =
    purpose === 'serving'
      ? await decideServing(judge, csr, facts)
      : await decideClient(judge, csr, facts);
  if (decision.decision !== 'approve') return decision;
  if (!(await mayRequest(judge, csr))) {
    const message = `${csr.spec.username} may not create certificate requests`;
    return { decision: 'pending', reason: 'NotAuthorized', message };
  }
  if (judge.limit.take(`${purpose} ${nodeName}`)) return decision;
  const message = `node ${nodeName} has asked for too many certificates`;
  return { decision: 'pending', reason: 'RateLimited', message };
}

interface Named {
  readonly request: ReadRequest;
  /** Empty when the request names none. */
  readonly nodeName: string;
}

async function decideServing(
  judge: CsrJudge,
  csr: CsrObject,
  { request, nodeName }: Named,
): Promise<CsrDecision> {
  const [node, allowedAddresses] = await Promise.all([
    readNode(judge, nodeName),
    judge.allowedAddresses(nodeName),
  ]);
  return decideCsr(csr, {
    request,
    node,
    isLocalNode: nodeName === judge.localNodeName,
    allowedAddresses,
    controllerAddresses: judge.controllerAddresses(),
    podCIDR: judge.podCIDR,
    serviceCIDR: judge.serviceCIDR,
  });
}

async function decideClient(
  judge: CsrJudge,
  csr: CsrObject,
  { request, nodeName }: Named,
): Promise<CsrDecision> {
  const [node, record] =
    nodeName === ''
      ? []
      : await Promise.all([readNode(judge, nodeName), judge.joinRecord(nodeName)]);
  return decideClientCsr(csr, {
    request,
    record,
    hasNode: node !== undefined && node.metadata.deletionTimestamp === undefined,
    isControllerNode: judge.controllerNames().includes(nodeName),
    now: judge.clock.now(),
  });
}

function readNode(judge: CsrJudge, name: string): Promise<NodeObject | undefined> {
  return judge.client.get<NodeObject>({ resource: nodeResource, name }, judge.signal);
}

async function readRequest(csr: CsrObject): Promise<ReadRequest> {
  // Reading ASN.1 needs a library that is not worth its memory before the first request.
  const { parseCertificateRequest, CertificateRequestError } = await import(
    '../pki/certificate-request.ts'
  );
  try {
    return parseCertificateRequest(Buffer.from(csr.spec.request, 'base64').toString('latin1'));
  } catch (error) {
    if (error instanceof CertificateRequestError) return { malformed: error.message };
    throw error;
  }
}

/** Asks the API server whether the requester still has the right that it used. */
async function mayRequest(judge: CsrJudge, csr: CsrObject): Promise<boolean> {
  const { username, groups, uid, extra } = csr.spec;
  const review = await judge.client.create<KubeObject & { status?: { allowed?: boolean } }>(
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: { name: '' },
      spec: {
        user: username,
        groups,
        ...(uid === undefined || uid === '' ? {} : { uid }),
        ...(extra === undefined ? {} : { extra }),
        resourceAttributes: {
          group: 'certificates.k8s.io',
          resource: 'certificatesigningrequests',
          verb: 'create',
        },
      },
    },
    judge.signal,
  );
  return review.status?.allowed === true;
}
