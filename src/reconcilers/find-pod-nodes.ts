import type { KubeClient } from '../kube-client/types.ts';
import { type PodObject, podResource } from './resources.ts';

/** Connections come in bursts; a pod's address moves to another node seldom, and never within seconds. */
const cacheMs = 2_000;
/** kube-apiserver waits for an answer for 8 s in all. */
const timeoutMs = 3_000;
const maxQuestions = 256;

/**
 * Asks the API which nodes have a running pod of an address, hostNetwork pods left out. Answers are kept for a moment.
 * @returns a function for the tunnel's `ClusterRoutesOptions.findPodNodes`, which rejects when the API does not answer.
 */
export function createPodNodeFinder(
  client: KubeClient,
): (address: string) => Promise<readonly string[]> {
  const answers = new Map<string, Promise<readonly string[]>>();
  return (address) => {
    const known = answers.get(address);
    if (known !== undefined) return known;
    if (answers.size >= maxQuestions) {
      return Promise.reject(new Error(`${maxQuestions} addresses are being looked up already`));
    }
    const answer = askForPodNodes(client, address);
    answers.set(address, answer);
    const forget = () => answers.delete(address);
    answer.then(() => setTimeout(forget, cacheMs).unref(), forget);
    return answer;
  };
}

/** Which of these run a pod with the address. Pure. */
export function podNodesOf(pods: readonly PodObject[], address: string): readonly string[] {
  const names = pods
    .filter(({ spec, status }) => {
      const isRunning = status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
      return isRunning && spec?.hostNetwork !== true && status?.podIP === address;
    })
    .flatMap(({ spec }) => spec?.nodeName ?? []);
  return [...new Set(names)];
}

async function askForPodNodes(client: KubeClient, address: string): Promise<readonly string[]> {
  const { items } = await client.list<PodObject>(podResource, {
    fieldSelector: `status.podIP=${address}`,
    signal: AbortSignal.timeout(timeoutMs),
  });
  return podNodesOf(items, address);
}
