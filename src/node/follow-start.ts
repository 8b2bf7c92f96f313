import { UserError } from '../base/errors.ts';
import { sleep } from '../base/time.ts';
import type { NodeEvent } from './events.ts';
import { fetchStatus } from './status-server.ts';
import type { NodeStatus } from './status-types.ts';

export interface FollowOptions {
  readonly statusSocket: string;
  readonly onEvent: (event: NodeEvent) => void;
}

/** Between two looks, milliseconds: each asks the API, which has one CPU for its start. */
const pollMs = 1_000;
/** After this long it is told what is missing, milliseconds (design §11.15). */
const patienceMs = 3 * 60_000;

/**
 * Follows a node that a service starts, as if it ran here, until everything is Ready.
 * @throws UserError after three minutes, with what is not Ready, or when the signal aborts: the node goes on.
 */
export async function followStart(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  const elapsedMs = () => performance.now() - startedAt;
  const told = new Set<string>();
  let missing: readonly string[] = ['the supervisor does not answer yet'];
  while (elapsedMs() < patienceMs) {
    const status = await fetchStatus(options.statusSocket).catch((error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    });
    if (status !== undefined) {
      for (const name of readyNames(status).filter((entry) => !told.has(entry))) {
        told.add(name);
        options.onEvent({ type: 'ready', name, elapsedMs: elapsedMs() });
      }
      missing = unreadyParts(status);
      if (missing.length === 0) {
        options.onEvent({ type: 'cluster-ready', elapsedMs: elapsedMs() });
        return;
      }
    }
    await sleep(pollMs, signal).catch(() => {});
    if (signal.aborted) throw interrupted(signal);
  }
  options.onEvent({ type: 'not-ready', messages: missing, elapsedMs: elapsedMs() });
  throw new UserError({
    what: 'say that the node is Ready',
    why: `after three minutes it is not: ${missing.join('; ')}`,
    fix: 'it goes on trying; mini-k8s status and mini-k8s logs say more',
  });
}

function interrupted(signal: AbortSignal): UserError {
  return new UserError({
    what: 'wait until the node is Ready',
    why: `interrupted by ${String(signal.reason)}`,
    fix: 'it goes on starting: mini-k8s status, or mini-k8s stop',
  });
}

/** Components and addons that are Ready, the node last of the components. */
function readyNames(status: NodeStatus): string[] {
  const components = status.components.filter((entry) => !isWaited(entry)).map(({ name }) => name);
  const addons = status.addons.filter(({ isReady }) => isReady).map(({ name }) => name);
  return [...components, ...(status.node.isReady ? [`node ${status.node.name}`] : []), ...addons];
}

function unreadyParts({ node, components, addons }: NodeStatus): string[] {
  return [
    ...components
      .filter(isWaited)
      .map(({ name, state }) =>
        state.type === 'Waiting' ? `${name}: ${state.message}` : `${name}: ${state.type}`,
      ),
    ...(node.isReady ? [] : [`node ${node.name}: ${node.message}`]),
    ...addons.filter(({ isReady }) => !isReady).map(({ name, message }) => `${name}: ${message}`),
  ];
}

function isWaited({ state }: NodeStatus['components'][number]): boolean {
  if (state.type === 'Running') return !state.ready;
  return !(state.type === 'Terminated' && state.termination.reason === 'Completed');
}
