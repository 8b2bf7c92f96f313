import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import { KubeApiError } from '../kube-client/errors.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import { type CsrDecision, purposeOf } from './csr-checks.ts';
import { type CsrJudge, type CsrKnowledge, judgeCsr } from './judge-csr.ts';
import { createRateLimit } from './rate-limit.ts';
import { type CsrObject, csrResource } from './resources.ts';

export interface CsrApproverOptions extends CsrKnowledge {
  readonly logger: Logger;
}

/** Undecided requests by name, so that they can be looked at again; never more than this. */
const maxPending = 500;
const firstRecheckMs = 200;
const maxRecheckMs = 30_000;

interface Run extends CsrApproverOptions, CsrJudge {
  readonly pending: Map<string, CsrObject>;
  /** Wakes the recheck loop; it starts again with its shortest delay. */
  wake: () => void;
}

/**
 * Approves kubelets' requests for certificates, as soon as the watch shows them: the first client certificate of a
 * machine that joined, renewals, and serving certificates. What cannot be decided yet (no Node, an address that is not
 * reported yet) is looked at again with growing delays. Runs until aborted.
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
  // One watch for both signers: requests to others are few, and none is kept.
  const events = watchResource<CsrObject>(run.client, csrResource, {
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
    const purpose = purposeOf(csr);
    if (purpose === undefined) {
      run.pending.delete(name);
      return;
    }
    const decision = await judgeCsr(run, csr, purpose);
    if (decision.decision === 'pending') {
      keep(run, csr, decision.message);
      return;
    }
    await answer(run, csr, decision);
    run.pending.delete(name);
    run.logger.info(`${verbs[decision.decision]} certificate request ${name}: ${decision.message}`);
  } catch (error) {
    if (run.signal.aborted) return;
    if (error instanceof KubeApiError && error.code === 404) run.pending.delete(name);
    // A conflict means that the request was changed: its watch event is on the way.
    else keep(run, csr, errorMessage(error));
  }
}

const verbs = { approve: 'approved', deny: 'denied', delete: 'deleted' } as const;

function keep(run: Run, csr: CsrObject, why: string): void {
  const { name } = csr.metadata;
  const isNew = !run.pending.has(name);
  if (isNew && run.pending.size >= maxPending) return;
  const { managedFields: _unused, ...metadata } = csr.metadata;
  run.pending.set(name, { ...csr, metadata: { ...metadata, name } });
  if (!isNew) return;
  run.logger.info(`certificate request ${name} waits: ${why}`);
  run.wake();
}

async function answer(run: Run, csr: CsrObject, decision: CsrDecision): Promise<void> {
  const { name, uid } = csr.metadata;
  if (decision.decision === 'delete') {
    const preconditions = uid === undefined ? {} : { uid };
    await run.client.delete({ resource: csrResource, name }, run.signal, preconditions);
    return;
  }
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
