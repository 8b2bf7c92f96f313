import { errorMessage } from '../../../src/base/errors.ts';
import { createClient } from './client.ts';
import type { Forked } from './forked.ts';
import type { Measurement } from './measurements.ts';
import type { Sample } from './metrics.ts';
import type { Rig } from './side.ts';

export interface Outcome {
  /** By the id of the metric. */
  readonly samples: ReadonlyMap<string, Sample>;
  /** The tunnel is in an unknown state: go on with a fresh one. */
  readonly isSpoilt: boolean;
}

/** A tunnel on which not one byte moves for so long is blocked. */
const blockedAfterMs = 30_000;
const lookEveryMs = 500;

class Blocked extends Error {}

/** Runs one measurement on a tunnel that works; what goes wrong becomes the sample. Never hangs. */
export async function runMeasurement(
  measurement: Measurement,
  rig: Rig,
  target: Forked,
): Promise<Outcome> {
  const client = createClient(rig.front);
  const stopWatching = watchProgress(client.progress, () => {
    client.close(new Blocked(`blocked > ${blockedAfterMs / 1_000} s`));
  });
  const cpuBefore = cpuSecondsOf(rig);
  try {
    const values = await measurement.run({ client, target });
    const samples = new Map<string, Sample>(Object.entries(values));
    samples.set(`cpu:${measurement.name}`, cpuSecondsOf(rig) - cpuBefore);
    return { samples, isSpoilt: false };
  } catch (error) {
    const problem = error instanceof Blocked ? error.message : `failed: ${errorMessage(error)}`;
    return { samples: new Map(measurement.metrics.map((id) => [id, { problem }])), isSpoilt: true };
  } finally {
    stopWatching();
    client.close(new Error('the measurement is over'));
  }
}

function watchProgress(read: () => number, onBlocked: () => void): () => void {
  let last = read();
  let changedAt = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const current = read();
    if (current !== last) {
      last = current;
      changedAt = now;
    } else if (now - changedAt >= blockedAfterMs) {
      clearInterval(timer);
      onBlocked();
    }
  }, lookEveryMs);
  return () => clearInterval(timer);
}

function cpuSecondsOf({ server, agent }: Rig): number {
  return server.cpuSeconds() + agent.cpuSeconds();
}
