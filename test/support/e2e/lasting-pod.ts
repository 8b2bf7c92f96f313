import type { Cluster } from './cluster.ts';
import { containersOf } from './faults.ts';
import { startPods, testPod } from './objects.ts';

/**
 * Waits until everything is Ready and starts a pod `lasting` in a namespace of its own.
 * @returns every container that runs then: whatever happens to the node's processes shall leave them alone.
 */
export async function startLastingPod(
  cluster: Cluster,
  namespace: string,
): ReturnType<typeof containersOf> {
  await cluster.waitReady();
  await cluster.importTestImage();
  await startPods(cluster, namespace, [testPod({ name: 'lasting', namespace })]);
  return await containersOf(cluster);
}
