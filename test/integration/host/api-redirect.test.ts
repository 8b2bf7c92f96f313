import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { apiRedirectRules } from '../../../src/host/api-redirect.ts';
import type { HostEvent } from '../../../src/host/types.ts';
import { callHostEngine } from '../../support/host-engine.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { TestNode } from '../../support/node/types.ts';
import { createPodNode, inBackground } from './pod-network.ts';

/** Answers each connection with the address that it came to. */
const server = `
  const net = require('node:net');
  for (const host of ['127.0.0.1', '10.244.7.1']) {
    net.createServer((socket) => {
      socket.on('error', () => {});
      socket.end(socket.localAddress + ':' + socket.localPort);
    }).listen(6443, host);
  }`;

/** As kube-proxy has it for an API server that nobody reaches from here. */
const kubeProxyTable = `table ip kube-proxy {
  chain nat-prerouting { type nat hook prerouting priority dstnat;
    ip daddr 10.96.0.1 tcp dport 443 dnat to 203.0.113.9:6443; }
  chain nat-output { type nat hook output priority -100;
    ip daddr 10.96.0.1 tcp dport 443 dnat to 203.0.113.9:6443; }
}`;
const kubeProxyRule =
  '-d 10.96.0.1/32 -p tcp --dport 443 -j DNAT --to-destination 203.0.113.9:6443';

describe.skipIf(nodeSkipReason() !== undefined)('the redirect of the API', () => {
  let node: TestNode;
  const sh = (script: string) => node.run(['sh', '-euc', script]);
  const setting = apiRedirectRules({
    serviceAddress: '10.96.0.1',
    servicePort: 443,
    apiPort: 6443,
    podInterface: 'kube-bridge',
  });
  const ensure = (settings = [setting]) => callHostEngine<HostEvent[]>(node, 'ensure', settings);
  const read = (seconds: number) =>
    `timeout ${seconds} bash -c 'exec 3<>/dev/tcp/10.96.0.1/443 && cat <&3' 2>&1 || echo failed`;
  const fromHost = async (seconds = 30) => (await sh(read(seconds))).trim();
  const fromPod = async (seconds = 30) => (await sh(`ip netns exec pod ${read(seconds)}`)).trim();

  beforeAll(async () => {
    node = await createPodNode('api-redirect');
    await sh(inBackground(server));
    const probe = `timeout 5 bash -c 'cat </dev/tcp/10.244.7.1/6443' 2>&1 || true`;
    await waitFor(async () => (await sh(probe)).includes('10.244.7.1:6443'), {
      subject: 'the server',
      timeoutMs: 60_000,
    });
  });
  afterAll(async () => {
    await node?.destroy();
  });
  beforeEach(() =>
    sh(`nft flush ruleset; for f in /proc/sys/net/bridge/bridge-nf-call-iptables; do
      [ ! -e $f ] || echo 0 > $f; done`),
  );

  test('without it, the address leads where kube-proxy says', async () => {
    await sh(`nft -f - <<'END'\n${kubeProxyTable}\nEND`);
    expect(await fromHost(2)).toMatch(/failed$/);
    expect(await fromPod(2)).toMatch(/failed$/);
  });

  test('programs of the machine and pods reach the local API', async () => {
    await ensure();
    expect(await fromHost()).toBe('127.0.0.1:6443');
    expect(await fromPod()).toBe('10.244.7.1:6443');
  });

  test.each(['before', 'after'])("it wins over kube-proxy's nftables made %s it", async (order) => {
    const other = () => sh(`nft -f - <<'END'\n${kubeProxyTable}\nEND`);
    if (order === 'before') await other();
    await ensure();
    if (order === 'after') await other();
    expect([await fromHost(), await fromPod()]).toEqual(['127.0.0.1:6443', '10.244.7.1:6443']);
  });

  test("it wins over kube-proxy's iptables", async () => {
    await ensure();
    await sh(`for chain in PREROUTING OUTPUT; do iptables -t nat -I $chain ${kubeProxyRule}; done`);
    expect([await fromHost(), await fromPod()]).toEqual(['127.0.0.1:6443', '10.244.7.1:6443']);
  });

  test('it works where bridges call iptables', async (context) => {
    const file = '/proc/sys/net/bridge/bridge-nf-call-iptables';
    if ((await sh(`[ -w ${file} ] && echo yes || true`)).trim() !== 'yes') {
      context.skip('this kernel has no br_netfilter');
    }
    await sh(`echo 1 > ${file}; nft -f - <<'END'\n${kubeProxyTable}\nEND`);
    await ensure();
    expect(await fromPod()).toBe('10.244.7.1:6443');
  });

  test('it is made once, replaced as a whole, and undone', async () => {
    const changed = [{ type: 'host-setting-changed', setting: 'nftables table ip mini_k8s_api' }];
    expect(await ensure()).toEqual(changed);
    expect(await ensure()).toEqual([]);
    // What somebody put in does not stay.
    await sh('nft add chain ip mini_k8s_api stray');
    expect(await ensure()).toEqual(changed);
    expect(await sh('nft list table ip mini_k8s_api')).not.toContain('stray');
    const records = await callHostEngine<unknown[]>(node, 'records');
    expect(records).toEqual([{ type: 'nft-table', name: 'mini_k8s_api' }]);
    expect(await callHostEngine(node, 'undo')).toEqual(['nftables table ip mini_k8s_api']);
    expect(await sh('nft list tables')).toBe('');
    expect(await callHostEngine(node, 'undo')).toEqual([]);
  });

  test('reset finds the table without a record too', async () => {
    await ensure();
    expect(await callHostEngine(node, 'removeNetwork')).toEqual([
      'nftables table ip mini_k8s_api',
      'link veth-pod',
      'link kube-bridge',
    ]);
  });

  test('a broken set of rules is reported and changes nothing', async () => {
    await ensure();
    const before = await sh('nft list ruleset');
    const broken = { ...setting, ruleset: 'chain a { nonsense }' };
    expect(await ensure([broken])).toMatchObject([
      { type: 'host-setting-skipped', reason: expect.stringMatching(/^nft -f - failed \(1\): /) },
    ]);
    expect(await sh('nft list ruleset')).toBe(before);
  });
});
