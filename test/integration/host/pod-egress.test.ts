import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { podEgressSettings } from '../../../src/host/pod-egress.ts';
import type { HostEvent } from '../../../src/host/types.ts';
import { callHostEngine } from '../../support/host-engine.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { TestNode } from '../../support/node/types.ts';
import { createPodNode, inBackground } from './pod-network.ts';

/** Answers each connection with the address that it came from. */
const server = `
  require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    socket.end(socket.remoteAddress);
  }).listen(80, '0.0.0.0');`;

const peerPod = '10.244.8.2';
const foreignPod = '10.244.9.2';

// Beyond the node is everything else: a peer's pods, strangers.
describe.skipIf(nodeSkipReason() !== undefined)('what leaves the pod network of a node', () => {
  let node: TestNode;
  const sh = (script: string) => node.run(['sh', '-euc', script]);
  const settings = podEgressSettings({ podCIDR: '10.244.0.0/16' });
  const ensure = () => callHostEngine<HostEvent[]>(node, 'ensure', settings);
  /** What the server sees, or the error. */
  const fromPod = async (address: string) => {
    const read = `timeout 30 bash -c 'exec 3<>/dev/tcp/${address}/80 && cat <&3' 2>&1 || echo failed $?`;
    return (await sh(`ip netns exec pod ${read}`)).trim();
  };

  beforeAll(async () => {
    node = await createPodNode('pod-egress');
    await sh(`
      ip -n wan link set lo up
      for own in ${peerPod} ${foreignPod}; do ip -n wan address add $own/32 dev lo; done
      ip -n wan route add 10.244.7.0/24 via 192.0.2.2
      ip route add 10.244.8.0/24 via 192.0.2.1
      ${inBackground(server, 'ip netns exec wan')}`);
    await waitFor(async () => /^\d/.test(await fromPod('192.0.2.1')), {
      subject: 'the server',
      timeoutMs: 60_000,
    });
  });
  afterAll(async () => {
    await node?.destroy();
  });
  beforeEach(async () => {
    await callHostEngine(node, 'undo');
  });

  test('without the settings a pod is seen by its own address, and packets for pods elsewhere leave', async () => {
    expect(await fromPod('192.0.2.1')).toBe('10.244.7.2');
    expect(await fromPod(foreignPod)).toBe('10.244.7.2');
  });

  test('a pod is seen by the address of its node, other nodes included', async () => {
    await ensure();
    expect(await fromPod('192.0.2.1')).toBe('192.0.2.2');
  });

  test('pods of one site see each other by their own addresses', async () => {
    await ensure();
    expect(await fromPod(peerPod)).toBe('10.244.7.2');
  });

  test('a pod of another site is unreachable at once', async () => {
    await ensure();
    expect(await fromPod(foreignPod)).toMatch(/(No route to host|unreachable).*failed 1$/s);
  });

  test("the owner's route to the same network goes first", async () => {
    await ensure();
    await sh('ip route add 10.244.0.0/16 via 192.0.2.1');
    expect(await fromPod(foreignPod)).toBe('10.244.7.2');
    await sh('ip route delete 10.244.0.0/16 via 192.0.2.1');
  });

  test('they are made once, and undone', async () => {
    const events = ['nftables table ip mini_k8s_pods', 'unreachable route 10.244.0.0/16'];
    expect(await ensure()).toEqual(
      events.map((setting) => ({ type: 'host-setting-changed', setting })),
    );
    expect(await ensure()).toEqual([]);
    expect(await callHostEngine(node, 'undo')).toEqual(events.toReversed());
    expect(await sh('ip route show type unreachable; nft list tables')).toBe('');
    expect(await callHostEngine(node, 'undo')).toEqual([]);
  });
});
