import { UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { Asking } from './ask-servers.ts';
import { isDiskFull } from './server-answer.ts';
import type { ArtifactStore } from './store.ts';
import type { ArtifactEvent, ArtifactSpec } from './types.ts';

/** Everything that one `provide` works with: some servers that speak the registry protocol. */
export interface DownloadSession {
  readonly store: ArtifactStore;
  readonly asking: Asking;
  readonly rounds: (artifact: ArtifactSpec) => number;
  /** For events: `controller 10.0.0.4:9443`. */
  readonly sourceName: () => string;
  readonly clock: Clock;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * Work for one artifact. What goes wrong with an image is told and passed over.
 * @throws UserError about executables, and about a full disk.
 */
export async function orWithout<T>(
  session: DownloadSession,
  artifact: ArtifactSpec,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const mayPass = artifact.kind === 'image' && error instanceof UserError;
    if (!mayPass || isDiskFull(error.cause)) throw error;
    const source = session.sourceName();
    session.onEvent({ type: 'source-failed', source, why: error.message });
    return undefined;
  }
}
