import type { Supervisor } from '../supervisor/supervisor.ts';
import { collectTwice, keepMemorySmall } from './keep-memory-small.ts';
import type { Reloader } from './reload.ts';
import type { ReloadRequests } from './reload-requests.ts';
import { type ReportReadinessOptions, reportClusterReady } from './report-readiness.ts';

export interface RunSupervisorOptions
  extends Omit<ReportReadinessOptions, 'componentsReady' | 'components'> {
  readonly supervisor: Supervisor;
  readonly reloader: Reloader;
  readonly reloads?: ReloadRequests;
}

/** Starts everything, tells when it is Ready, reloads when asked to, and stops everything when the signal aborts. */
export async function runSupervisor(
  options: RunSupervisorOptions,
  signal: AbortSignal,
): Promise<void> {
  const { supervisor, reloader, reloads } = options;
  // Why not is in the log.
  const unfollow = reloads?.follow(() => void reloader.reload().catch(() => {}));
  try {
    const components = () => supervisor.status();
    const componentsReady = supervisor.start(signal);
    await reportClusterReady({ ...options, components, componentsReady }, signal);
    await keepMemorySmall({ collect: collectTwice }, signal);
  } finally {
    unfollow?.();
    await supervisor.stop();
  }
}
