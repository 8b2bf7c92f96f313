import { errorMessage } from '../../../src/base/errors.ts';
import { nodeNames, type SoakCluster } from './cluster.ts';
import type { Disturbances } from './disturbances.ts';
import type { Random } from './random.ts';
import { CorruptTransfer } from './target.ts';
import { HungTransfer, runTransfer, type TransferName, transferNames } from './transfers.ts';

export interface ChurnTotals {
  /** Transfers that went as they were meant to, by name. */
  readonly done: Map<TransferName, number>;
  /** Broken off together with their node's line. */
  brokenOff: number;
  /** What nothing excuses. */
  readonly failures: string[];
}

/** Transfers at a time. */
const workers = 16;

/** Runs transfers until `endAtMs` and waits for the last one; each is to a random node. */
export async function churn(
  parts: {
    readonly cluster: SoakCluster;
    readonly disturbances: Disturbances;
    readonly random: Random;
    readonly totals: ChurnTotals;
  },
  endAtMs: number,
): Promise<void> {
  const { cluster, random, disturbances, totals } = parts;
  const work = async () => {
    while (performance.now() < endAtMs) {
      const nodeName = random.pick(nodeNames);
      const name = random.pick(transferNames);
      const startedAtMs = performance.now();
      try {
        await runTransfer(name, {
          ...{ nodeName, random },
          host: `10.244.${nodeName.slice(-1)}.5`,
          port: cluster.targetPort,
          closedPort: cluster.closedPort,
          socketPath: cluster.controller.socketPath,
        });
        totals.done.set(name, (totals.done.get(name) ?? 0) + 1);
      } catch (error) {
        const isExcused =
          !(error instanceof HungTransfer || error instanceof CorruptTransfer) &&
          disturbances.touched(nodeName, startedAtMs);
        if (isExcused) {
          totals.brokenOff += 1;
          continue;
        }
        const { tunnel } = await cluster.controller.ask('status');
        const state = JSON.stringify(tunnel.nodes.find((node) => node.nodeName === nodeName));
        const failure = `${name} to ${nodeName}: ${errorMessage(error)}; ${state}`;
        totals.failures.push(failure);
        console.log(`✗ ${failure}`);
      }
    }
  };
  const disturb = async () => {
    while (performance.now() < endAtMs) {
      await disturbances.next();
      await new Promise((resolve) => setTimeout(resolve, random.integer(200, 2_000)));
    }
  };
  await Promise.all([disturb(), ...Array.from({ length: workers }, work)]);
}
