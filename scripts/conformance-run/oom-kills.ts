/** Processes of a node that the kernel killed for want of memory. */
export interface OomKills {
  /** The node itself had no memory left: names of the processes. */
  readonly ofNode: readonly string[];
  /** A container reached its own limit, as some tests want it. */
  readonly ofContainers: readonly string[];
}

/**
 * Reads the kernel's messages: counters of cgroup v1 say it of the victim's own group only, and are gone with a pod.
 * @param log `oom-kill:constraint=…,oom_memcg=/…/NODE,task_memcg=/…/NODE/kubepods/…,task=agnhost,pid=…`
 * @param node Name of the node, unique on the machine: also those of earlier nodes are in the log.
 */
export function parseOomKills(log: string, node: string): OomKills {
  const kills = [...log.matchAll(/oom_memcg=([^,\s]*),task_memcg=[^,\s]*,task=([^,\n]*),/g)];
  const ofNode: string[] = [];
  const ofContainers: string[] = [];
  for (const [, group = '', task = ''] of kills) {
    const place = group.split('/').indexOf(node);
    if (place === -1) continue;
    const isContainer = group.split('/').length > place + 1;
    (isContainer ? ofContainers : ofNode).push(task);
  }
  return { ofNode, ofContainers };
}
