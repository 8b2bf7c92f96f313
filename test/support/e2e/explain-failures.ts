import { afterEach } from 'vitest';
import type { Cluster } from './cluster.ts';

/** After each failed test of the current suite: prints the cluster's log, status, pods and events. */
export function explainFailures(cluster: () => Cluster | undefined): void {
  afterEach(async ({ task }) => {
    const current = cluster();
    if (task.result?.state !== 'fail' || current === undefined) return;
    console.log(`\nState after "${task.name}" failed:\n${await current.describe()}`);
  });
}
