import { hostEngineBinds } from '../../support/host-engine.ts';
import { createNode } from '../../support/node/create-node.ts';
import type { TestNode } from '../../support/node/types.ts';

/**
 * A node with one pod, and a network beyond it. Both have a namespace in the node, by these names.
 *
 *   pod 10.244.7.2 ── kube-bridge 10.244.7.1 │ node │ uplink 192.0.2.2 ── 192.0.2.1 wan
 */
export async function createPodNode(name: string): Promise<TestNode> {
  const node = await createNode({ name, cpus: 'all', binds: hostEngineBinds });
  await node.run(['sh', '-euc', network]);
  return node;
}

const network = `
  ip netns add pod; ip netns add wan
  ip link add kube-bridge type bridge; ip address add 10.244.7.1/24 dev kube-bridge
  ip link set kube-bridge up
  ip link add veth-pod type veth peer name eth0 netns pod
  ip link set veth-pod master kube-bridge; ip link set veth-pod up
  ip -n pod address add 10.244.7.2/24 dev eth0; ip -n pod link set eth0 up
  ip -n pod route add default via 10.244.7.1
  ip link add uplink type veth peer name eth0 netns wan
  ip -n wan address add 192.0.2.1/24 dev eth0; ip -n wan link set eth0 up
  ip address add 192.0.2.2/24 dev uplink; ip link set uplink up
  ip route replace default via 192.0.2.1
  echo 1 > /proc/sys/net/ipv4/ip_forward`;

/** A line of shell that leaves a program of Node.js running, there where the prefix leads. */
export function inBackground(program: string, prefix = ''): string {
  const source = program.replaceAll('\n', ' ');
  return `setsid ${prefix} ${process.execPath} -e "${source}" >/dev/null 2>&1 </dev/null &`;
}
