import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { type Clock, sleep } from '../base/time.ts';
import { KubeApiError } from '../kube-client/errors.ts';
import type { KubeClient, KubeObject } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import {
  type CsrDecision,
  type CsrFacts,
  decideCsr,
  isUndecided,
  kubeletServingSigner,
  requestingNode,
} from './decide-csr.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { type CsrObject, csrResource, type NodeObject, nodeResource } from './resources.ts';

export interface CsrApproverOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
  /** The node that this controller runs, when it runs one. */
  readonly localNodeName?: string;
  /** Addresses that this program knows to be a node's; undefined for a node it knows nothing of. */
  readonly allowedAddresses: (nodeName: string) => readonly string[] | undefined;
  /** Of the API and of controllers, now. */
  readonly controllerAddresses: () => readonly string[];
  readonly podCIDR: string;
  readonly serviceCIDR: string;
}

/** Undecided requests by name, so that they can be looked at again; never more than this. */
const maxPending = 500;
const firstRecheckMs = 200;
const maxRecheckMs = 30_000;

interface Run extends CsrApproverOptions {
  readonly signal: AbortSignal;
  readonly limit: RateLimit;
  readonly pending: Map<string, CsrObject>;
  /** Wakes the recheck loop; it starts again with its shortest delay. */
  wake: () => void;
}

/**
 * Approves kubelets' requests for serving certificates, as soon as the watch shows them. What cannot be decided yet
 * (no Node, an address that is not reported yet) is looked at again with growing delays. Runs until aborted.
 */
export async function runCsrApprover(
  options: CsrApproverOptions,
  signal: AbortSignal,
): Promise<void> {
  const limit = createRateLimit({ burst: 10, refillMs: 6 * 60_000, clock: options.clock });
  const run: Run = { ...options, signal, limit, pending: new Map(), wake: () => {} };
  await Promise.all([watchRequests(run), recheckPending(run)]);
}

async function watchRequests(run: Run): Promise<void> {
  const events = watchResource<CsrObject>(run.client, csrResource, {
    fieldSelector: `spec.signerName=${kubeletServingSigner}`,
    signal: run.signal,
    onError: (error, retryInMs) =>
      run.logger.debug(`watching certificate requests: ${errorMessage(error)}`, { retryInMs }),
  });
  for await (const event of events) {
    if (event.type === 'SYNCED') {
      run.pending.clear();
      for (const csr of event.items) await settle(run, csr);
    } else if (event.type === 'DELETED') {
      run.pending.delete(event.object.metadata.name);
    } else {
      await settle(run, event.object);
    }
  }
}

async function recheckPending(run: Run): Promise<void> {
  let delayMs = firstRecheckMs;
  while (!run.signal.aborted) {
    if (await waitForWork(run, delayMs)) {
      delayMs = firstRecheckMs;
      continue;
    }
    delayMs = Math.min(delayMs * 2, maxRecheckMs);
    for (const csr of [...run.pending.values()]) {
      if (!run.signal.aborted) await settle(run, csr);
    }
  }
}

/** Sleeps until something is pending, then `delayMs`; true when something new came meanwhile. */
async function waitForWork(run: Run, delayMs: number): Promise<boolean> {
  const abort = new AbortController();
  const signal = AbortSignal.any([run.signal, abort.signal]);
  run.wake = () => abort.abort();
  const timeoutMs = run.pending.size === 0 ? 2 ** 31 - 1 : delayMs;
  await sleep(timeoutMs, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  return abort.signal.aborted;
}

/** Decides one request and writes the answer, or keeps it for later. Never throws. */
async function settle(run: Run, csr: CsrObject): Promise<void> {
  const { name } = csr.metadata;
  try {
    const nodeName = requestingNode(csr);
    // Requests of people, and answered ones, are not ours.
    if (nodeName === undefined || !isUndecided(csr)) {
      run.pending.delete(name);
      return;
    }
    const decision = await decide(run, csr, nodeName);
    if (decision.decision === 'pending') {
      keep(run, csr, decision.message);
      return;
    }
    await answer(run, csr, decision);
    run.pending.delete(name);
    const verb = decision.decision === 'approve' ? 'approved' : 'denied';
    run.logger.info(`${verb} certificate request ${name}: ${decision.message}`);
  } catch (error) {
    if (run.signal.aborted) return;
    if (error instanceof KubeApiError && error.code === 404) run.pending.delete(name);
    // A conflict means that the request was changed: its watch event is on the way.
    else keep(run, csr, errorMessage(error));
  }
}

function keep(run: Run, csr: CsrObject, why: string): void {
  const { name } = csr.metadata;
  const isNew = !run.pending.has(name);
  if (isNew && run.pending.size >= maxPending) return;
  run.pending.set(name, csr);
  if (!isNew) return;
  run.logger.info(`certificate request ${name} waits: ${why}`);
  run.wake();
}

async function decide(run: Run, csr: CsrObject, nodeName: string): Promise<CsrDecision> {
  const [request, node] = await Promise.all([
    readRequest(csr),
    run.client.get<NodeObject>({ resource: nodeResource, name: nodeName }, run.signal),
  ]);
  const decision = decideCsr(csr, {
    request,
    node,
    isLocalNode: nodeName === run.localNodeName,
    allowedAddresses: run.allowedAddresses(nodeName),
    controllerAddresses: run.controllerAddresses(),
    podCIDR: run.podCIDR,
    serviceCIDR: run.serviceCIDR,
  });
  if (decision.decision !== 'approve') return decision;
  if (!(await mayRequest(run, csr))) {
    const message = `${csr.spec.username} may not create certificate requests`;
    return { decision: 'pending', reason: 'NotAuthorized', message };
  }
  if (run.limit.take(nodeName)) return decision;
  const message = `node ${nodeName} has asked for too many certificates`;
  return { decision: 'pending', reason: 'RateLimited', message };
}

async function readRequest(csr: CsrObject): Promise<CsrFacts['request']> {
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
async function mayRequest(run: Run, csr: CsrObject): Promise<boolean> {
  const { username, groups, uid, extra } = csr.spec;
  const review = await run.client.create<KubeObject & { status?: { allowed?: boolean } }>(
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
    run.signal,
  );
  return review.status?.allowed === true;
}

async function answer(run: Run, csr: CsrObject, decision: CsrDecision): Promise<void> {
  const condition = {
    type: decision.decision === 'approve' ? 'Approved' : 'Denied',
    status: 'True',
    reason: decision.reason,
    message: decision.message,
    lastUpdateTime: new Date(run.clock.now()).toISOString().replace(/\.\d+/, ''),
  };
  const conditions = [...(csr.status?.conditions ?? []), condition];
  const answered: CsrObject = { ...csr, status: { ...csr.status, conditions } };
  await run.client.replace(answered, 'approval', run.signal);
}
