import { type Clock, sleep } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import type { ComponentStatus } from '../supervisor/types.ts';
import {
  type ClusterReadiness,
  isClusterReady,
  readClusterReadiness,
} from './cluster-readiness.ts';
import type { NodeEvent } from './events.ts';
import type { NodePlan } from './plan-types.ts';
import { earliestStart, elapsedMs, type StartTime } from './start-time.ts';

export interface ReportReadinessOptions {
  readonly plan: NodePlan;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly started: StartTime;
  /** Resolves when every component has been ready once. */
  readonly componentsReady: Promise<void>;
  readonly components: () => readonly ComponentStatus[];
  readonly onEvent: (event: NodeEvent) => void;
}

/** Between two looks at what is not Ready yet, milliseconds: often while somebody waits, seldom later. */
const eagerPollMs = 500;
const patientPollMs = 10_000;
/** After this long it is told what is missing, milliseconds (design §11.15). */
const patienceMs = 3 * 60_000;

/** Tells when the node and every addon are Ready, or after three minutes what is not; asks until all are, and no longer. */
export async function reportClusterReady(
  options: ReportReadinessOptions,
  signal: AbortSignal,
): Promise<void> {
  const { started, onEvent } = options;
  await waitForComponents(options, signal);
  const seen = new Set<string>();
  let isLate = false;
  for (;;) {
    const readiness = await read(options, signal);
    for (const { name } of trusted(readiness).filter((entry) => entry.isReady)) {
      if (!seen.has(name)) onEvent({ type: 'ready', name, elapsedMs: elapsedMs(started) });
      seen.add(name);
    }
    if (isClusterReady(readiness)) break;
    if (!isLate && elapsedMs(started) >= patienceMs) {
      isLate = true;
      onEvent({
        type: 'not-ready',
        messages: missing(options, readiness),
        elapsedMs: elapsedMs(started),
      });
    }
    await sleep(isLate ? patientPollMs : eagerPollMs, signal);
  }
  onEvent({ type: 'cluster-ready', elapsedMs: elapsedMs(started) });
}

function read(options: ReportReadinessOptions, signal: AbortSignal): Promise<ClusterReadiness> {
  const { plan, client, clock, started } = options;
  const wanted = plan.runsWorkloads ? { nodeName: plan.nodeName, stacks: plan.stacks } : nothing;
  const since = earliestStart(started, clock.now(), performance.now());
  return readClusterReadiness(client, { ...wanted, since }, signal);
}

/** Addons need a node to run on, which a controller without workloads may wait for for ever. */
const nothing = { nodeName: undefined, stacks: [] };

/** What the API says of pods is of an earlier run until kubelet has reported. */
function trusted({ node, addons }: ClusterReadiness): ClusterReadiness['addons'] {
  if (node === undefined) return addons;
  return node.isReady ? [node, ...addons] : [node];
}

function missing(
  { components }: ReportReadinessOptions,
  { node, addons }: ClusterReadiness,
): string[] {
  const unready = [...(node === undefined ? [] : [node]), ...addons].filter(
    (entry) => !entry.isReady,
  );
  return [
    ...components().flatMap(({ name, state }) =>
      state.type === 'Waiting' ? [`${name}: ${state.message}`] : [],
    ),
    ...unready.map((entry) => `${entry.name}: ${entry.message}`),
  ];
}

/** A component that cannot start must not keep it a secret that nothing is Ready. */
async function waitForComponents(
  options: ReportReadinessOptions,
  signal: AbortSignal,
): Promise<void> {
  const { plan, componentsReady, started, onEvent } = options;
  const told = componentsReady.then(() =>
    onEvent({
      type: 'components-ready',
      nodeName: plan.nodeName,
      elapsedMs: elapsedMs(started),
    }),
  );
  const enough = new AbortController();
  try {
    await Promise.race([told, sleep(patienceMs, AbortSignal.any([signal, enough.signal]))]);
  } finally {
    enough.abort();
  }
}
