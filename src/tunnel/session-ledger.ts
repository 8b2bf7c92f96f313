import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { TunnelMetrics } from './metrics.ts';
import type { AgentSession, NodeRecord } from './node-record.ts';
import type { StallWatch } from './stall-watch.ts';
import type { CountedWindowBudget } from './window-budget.ts';
import type { YamuxOptions } from './yamux/types.ts';

/** Everything that sessions share. */
export interface SessionLedger {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: TunnelMetrics;
  readonly budget: CountedWindowBudget;
  readonly carrier: Pick<
    YamuxOptions,
    'pingIntervalMs' | 'deadAfterMs' | 'firstFrameMs' | 'random'
  >;
  readonly maxStreamsPerNode: number;
  readonly maxStreams: number;
  readonly drainMs: number;
  /** Watches all streams, so it knows how many there are. */
  readonly stalls: StallWatch;
  readonly nodes: Map<string, NodeRecord>;
  /** Names without a session, the longest gone first. */
  readonly gone: Set<string>;
  isDraining: boolean;
}

/** The one that takes new streams. */
export function newestOpen(record: NodeRecord | undefined): AgentSession | undefined {
  return record?.sessions.findLast(({ carrier }) => carrier.isOpen);
}
