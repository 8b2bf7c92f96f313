import { type ArtifactScope, fetchArtifacts } from '../node/artifact-store.ts';
import type { Invocation } from './command.ts';
import { runInterruptible } from './run-interruptible.ts';
import { bundleOptions } from './run-node.ts';

/** Fetches with progress. A signal ends it, and the next fetch goes on from there. */
export function runFetch(invocation: Invocation, scope: ArtifactScope): Promise<number> {
  const whenStopped = 'the next fetch goes on from here';
  return runInterruptible(invocation, whenStopped, ({ signal, ...parts }) =>
    fetchArtifacts({ ...scope, ...bundleOptions(invocation), ...parts }, signal),
  );
}
