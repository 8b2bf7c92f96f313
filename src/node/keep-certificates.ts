import { type Clock, sleep } from '../base/time.ts';
import type { Component } from '../supervisor/types.ts';
import { loopComponent } from './loop-component.ts';

export interface KeepCertificatesOptions {
  readonly clock: Clock;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonicMs: () => number;
  /** Makes the certificates of the plan true: `ensurePki`. */
  readonly ensure: () => Promise<void>;
  readonly timing?: KeepCertificatesTiming;
}

export interface KeepCertificatesTiming {
  readonly intervalMs: number;
  readonly tickMs: number;
}

const defaultTiming: KeepCertificatesTiming = { intervalMs: 60 * 60_000, tickMs: 60_000 };

/** A clock that moves by more than this against the other one was set, milliseconds. */
const setClockMs = 60_000;

/**
 * Issues certificates again when two thirds of their life are over, while everything runs: every component reads its
 * own files again (client-go, etcd and the API server's dynamic certificates), so that none is restarted. Looks at
 * once after the clock was set, since certificates made on the wrong time may be useless on the right one.
 * A failure shows as this component's, and is tried again with its backoff.
 */
export function keepCertificates(options: KeepCertificatesOptions): Component {
  let hasFailed = false;
  return loopComponent({
    name: 'certificates',
    dependsOn: [],
    clock: options.clock,
    run: async (signal) => {
      if (!hasFailed) await untilDue(options, signal);
      for (;;) {
        hasFailed = true;
        await options.ensure();
        hasFailed = false;
        await untilDue(options, signal);
      }
    },
  });
}

async function untilDue(options: KeepCertificatesOptions, signal: AbortSignal): Promise<void> {
  const { clock, monotonicMs, timing = defaultTiming } = options;
  const begin = monotonicMs();
  const offset = clock.now() - begin;
  for (;;) {
    await sleep(timing.tickMs, signal);
    const elapsed = monotonicMs() - begin;
    const moved = Math.abs(clock.now() - monotonicMs() - offset);
    if (elapsed >= timing.intervalMs || moved > setClockMs) return;
  }
}
