import { describe, expect, it } from 'vitest';
import { createClusterRoutes } from '../../../src/tunnel/route-cluster.ts';
import type { ClusterNode } from '../../../src/tunnel/route-cluster-index.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { dialLoopback } from './dial-loopback.ts';
import { connectTo, established } from './harness.ts';
import type { Controller } from './tunnel-peers.ts';

/** The routing of a real cluster with real agents behind it: which node a CONNECT ends at. */
const rig = tunnelRig();
const kubeletPort = 10_250;

function node(name: string, change: Partial<ClusterNode> = {}): ClusterNode {
  const addresses = ['192.168.1.7'];
  return { name, hostname: name, addresses, podCIDRs: [], kubeletPort, ...change };
}

/** A controller that knows these nodes; each has an agent whose kubelet says the node's name. */
async function cluster(...nodes: readonly ClusterNode[]): Promise<Controller> {
  const routes = createClusterRoutes({
    localNode: undefined,
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/12',
  });
  routes.replaceNodes(nodes);
  const controller = await rig.controller({ server: { routes } });
  for (const { name } of nodes) {
    const kubelet = await rig.target((socket) => socket.end(`this is ${name}`));
    const dial = (address: string) => dialLoopback(address, kubelet.port);
    await rig.agent(name, [controller.address], { kubeletPort, dial });
  }
  await untilConnected(controller, ...nodes.map(({ name }) => name));
  return controller;
}

async function answerOf(controller: Controller, host: string, port = kubeletPort): Promise<string> {
  const client = await rig.open(controller.socketPath, `${connectTo(host, port)}x`);
  await until('the end', () => client.hasEnded, { describe: () => text(client) });
  client.socket.destroy();
  return text(client);
}

describe('a CONNECT', () => {
  it('case 13: for two nodes with one address goes by name, and by address nowhere', async () => {
    const pods = (network: string) => ({ podCIDRs: [network] });
    const controller = await cluster(
      node('edge-1', pods('10.244.1.0/24')),
      node('edge-2', pods('10.244.2.0/24')),
    );
    expect(await answerOf(controller, 'edge-1')).toBe(`${established}this is edge-1`);
    expect(await answerOf(controller, 'edge-2')).toBe(`${established}this is edge-2`);
    // Their pods have addresses of their own.
    expect(await answerOf(controller, '10.244.1.5', 80)).toBe(`${established}this is edge-1`);
    expect(await answerOf(controller, '10.244.2.5', 80)).toBe(`${established}this is edge-2`);
    expect(await answerOf(controller, '192.168.1.7')).toContain(
      'HTTP/1.1 503 ambiguous node address 192.168.1.7: nodes edge-1, edge-2 have it',
    );
    await untilNoStream(controller);
  });

  it("case 14: for a node whose host name is not its name is refused, and is never another's", async () => {
    const controller = await cluster(
      node('edge-1'),
      node('renamed', { hostname: 'old-name' }),
      node('liar', { hostname: 'edge-1' }),
    );
    for (const name of ['renamed', 'old-name']) {
      expect(await answerOf(controller, name)).toContain(
        'HTTP/1.1 503 node renamed reports the host name old-name: ',
      );
    }
    expect(await answerOf(controller, 'liar')).toContain(
      'HTTP/1.1 503 node liar reports the host name edge-1: ',
    );
    expect(await answerOf(controller, 'edge-1')).toBe(`${established}this is edge-1`);
    await untilNoStream(controller);
  });

  it.each([
    ['[fd00::1]:10250', '403 [fd00::1]:10250: IPv6 targets are not supported yet'],
    ['[::1]:10250', '403 [::1]:10250: IPv6 targets are not supported yet'],
    ['[::ffff:192.168.1.7]:10250', '403 [::ffff:192.168.1.7]:10250: IPv6 targets'],
    ['[fe80::1%25eth0]:10250', '400 the CONNECT target is not <host>:<port>'],
    ['fd00::1:10250', '400 the CONNECT target is not <host>:<port>'],
    ['[edge-1]:10250', '400 the CONNECT target is not <host>:<port>'],
  ])('case 21: for %s is refused with the reason', async (target, reason) => {
    const controller = await cluster(node('edge-1'));
    const request = `CONNECT ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    const client = await rig.open(controller.socketPath, request);
    await until('the end', () => client.hasEnded, { describe: () => text(client) });
    expect(text(client)).toContain(`HTTP/1.1 ${reason}`);
    await untilNoStream(controller);
  });
});
