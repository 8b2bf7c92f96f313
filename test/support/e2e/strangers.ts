import type { TestNode } from '../node/types.ts';

/**
 * From now on a node remembers to whom it wanted to talk that is not in these networks.
 * @param known Addresses and networks: `198.18.7.0/24`.
 */
export async function countStrangers(node: TestNode, known: readonly string[]): Promise<void> {
  const rules = `table ip edge {
    set strangers { type ipv4_addr . inet_proto; size 1000; flags dynamic; }
    chain out {
      type filter hook postrouting priority 0;
      ip daddr != { ${known.join(', ')} } ct state new add @strangers { ip daddr . meta l4proto }
    }
  }`;
  await node.run(['nft', '-f', '-'], { input: rules });
}

/** `192.0.2.1 . udp`, or empty. */
export async function strangersOf(node: TestNode): Promise<string> {
  const set = await node.run(['nft', 'list', 'set', 'ip', 'edge', 'strangers']);
  return /elements = \{([^}]*)\}/.exec(set)?.[1]?.trim() ?? '';
}

/** Sends a packet to 192.0.2.1 by UDP: whoever tries is seen. */
export async function talkToStranger(node: TestNode): Promise<void> {
  await node.run(['bash', '-c', 'echo > /dev/udp/192.0.2.1/9']);
}
