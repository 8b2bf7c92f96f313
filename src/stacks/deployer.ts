import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { type Clock, sleep } from '../base/time.ts';
import { isTransientKubeError, KubeConnectionError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';
import {
  type DeployerState,
  isPackagedApplied,
  newState,
  orderedRecords,
  type PassContext,
} from './deployer-state.ts';
import { runPass } from './pass.ts';
import { retryDelayMs, statusOf } from './stack-record.ts';
import { steadyClock } from './steady-clock.ts';
import { type DeployerTiming, defaultTiming } from './timing.ts';
import type { ManifestStack, StackEvent, StackStatus } from './types.ts';
import { createUserSource } from './user-source.ts';
import { createWakeUp, watchDirectories } from './wake-up.ts';

export interface DeployerOptions {
  readonly client: KubeClient;
  /** The stacks of this program; a function is asked again at each drift check, and a stack it leaves out is deleted. */
  readonly packaged: readonly ManifestStack[] | (() => readonly ManifestStack[]);
  /** `<dataDir>/manifests`: one directory per user stack. Made on a new cluster. */
  readonly manifestsDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onEvent: (event: StackEvent) => void;
  readonly timing?: Partial<DeployerTiming>;
}

/** Keeps stacks in the cluster. */
export interface Deployer {
  /**
   * Applies, prunes and repairs until the signal aborts. While the API server does not answer it waits, with growing
   * delays and without noise. Must run once per cluster at a time: on another controller the user's manifests differ.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Packaged stacks first, then the user's by name, then what is no stack in the manifests directory. */
  status(): readonly StackStatus[];
  /** Resolves when every packaged stack has been applied once without an error. Never rejects. */
  readonly appliedOnce: Promise<void>;
  /** Looks at everything now instead of at the next interval. */
  trigger(): void;
}

/**
 * A deployer over server-side apply.
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/
 */
export function createDeployer(options: DeployerOptions): Deployer {
  const timing = { ...defaultTiming, ...options.timing };
  const clock = steadyClock(options.clock);
  const source = createUserSource({ ...timing, manifestsDir: options.manifestsDir, clock });
  const state = newState();
  const wakeUp = createWakeUp();
  const appliedOnce = Promise.withResolvers<void>();
  const context: PassContext = { ...options, timing, clock, source };
  return {
    appliedOnce: appliedOnce.promise,
    status: () => [...orderedRecords(state).map(statusOf), ...state.strays],
    trigger() {
      state.driftAt = undefined;
      wakeUp.ring();
    },
    async run(signal) {
      const watching = watchDirectories(() => wakeUp.ring());
      state.driftAt = undefined;
      try {
        for (let failedPasses = 0; !signal.aborted; ) {
          const waitMs = await tryPass({ context, state, failedPasses, signal });
          failedPasses = waitMs === undefined ? failedPasses + 1 : 0;
          if (isPackagedApplied(state)) appliedOnce.resolve();
          watching.follow(state.directories);
          await wakeUp.wait(
            waitMs ?? Math.min(retryDelayMs(failedPasses), maxOutageWaitMs),
            signal,
          );
          await gather(signal);
        }
      } finally {
        watching.close();
      }
    },
  };
}

/** While the API server is away it is asked again at least this often, milliseconds. */
const maxOutageWaitMs = 15_000;
/** Editors and copies change a directory several times in a row: one look is enough, milliseconds. */
const gatherMs = 100;

async function gather(signal: AbortSignal): Promise<void> {
  try {
    await sleep(gatherMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

interface TryPassOptions {
  readonly context: PassContext;
  readonly state: DeployerState;
  readonly failedPasses: number;
  readonly signal: AbortSignal;
}

/** Milliseconds until the next pass; undefined when this one had to stop because the API server does not answer. */
async function tryPass(options: TryPassOptions): Promise<number | undefined> {
  const { context, state, failedPasses, signal } = options;
  try {
    return await runPass(context, state, signal);
  } catch (error) {
    if (signal.aborted) return 0;
    const isOutage = error instanceof KubeConnectionError || isTransientKubeError(error);
    if (!isOutage) throw error;
    if (failedPasses === 0) {
      context.logger.debug('stacks wait for the API server', { reason: errorMessage(error) });
    }
    return undefined;
  }
}
