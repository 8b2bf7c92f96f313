import { describe, expect, test } from 'vitest';
import { judgeDefaultRoute } from '../../../src/doctor/default-route.ts';
import { judgeForward, parseForward } from '../../../src/doctor/forward-policy.ts';
import { judgeNameServers } from '../../../src/doctor/name-servers.ts';
import { judgePorts, type PortUse, portClashes } from '../../../src/doctor/ports.ts';
import { judgeServiceTools } from '../../../src/doctor/service-tools.ts';
import { planInputs } from '../../support/plan-inputs.ts';

describe('ports', () => {
  const api: PortUse = { port: 6443, component: 'kube-apiserver', field: 'spec.api.port' };
  const kubelet: PortUse = { port: 10250, component: 'kubelet' };
  const uses = [api, kubelet];
  const stranger = { pid: 812, name: 'nginx' };
  const idle = { ownPids: new Set<number>(), isRunning: false };

  test('that are free', () => {
    expect(judgePorts(uses, [], idle)).toEqual([{ state: 'ok', what: 'free: 6443, 10250' }]);
  });

  test('that strangers have, each by its process', () => {
    const taken = [
      { use: api, owner: stranger },
      { use: kubelet, owner: { pid: 9, name: 'k3s' } },
    ];
    expect(judgePorts(uses, taken, idle)).toEqual([
      {
        state: 'fail',
        prevents: 'start kube-apiserver',
        why: 'port 6443 is in use by pid 812 (nginx)',
        fix: 'stop that process, or set spec.api.port',
      },
      {
        state: 'fail',
        prevents: 'start kubelet',
        why: 'port 10250 is in use by pid 9 (k3s)',
        fix: 'stop that process',
      },
    ]);
  });

  test('a running node has its own by right, and only its own', () => {
    const node = { ownPids: new Set([41]), isRunning: true };
    const own = { use: api, owner: { pid: 41, name: 'kube-apiserver' } };
    expect(judgePorts(uses, [own], node)).toEqual([
      { state: 'ok', what: 'nobody but this node listens on 6443, 10250' },
    ]);
    expect(judgePorts(uses, [own, { use: kubelet, owner: stranger }], node)).toMatchObject([
      { state: 'fail', prevents: 'start kubelet' },
    ]);
  });

  test('without root nobody is accused while a node runs', () => {
    const taken = [{ use: api }];
    expect(judgePorts(uses, taken, { ...idle, isRunning: true })).toEqual([
      { state: 'skipped', why: 'only root sees whether this node listens on 6443' },
    ]);
    expect(judgePorts(uses, taken, idle)).toMatchObject([
      { state: 'fail', why: 'port 6443 is in use by another process' },
    ]);
  });

  test('one that a node starts without only warns', () => {
    const gateway = { ...api, port: 9443, component: 'the gateway', isOptional: true };
    const [verdict] = judgePorts([gateway], [{ use: gateway, owner: stranger }], idle);
    expect(verdict).toMatchObject({ state: 'warn', what: 'the gateway has to wait' });
  });

  test('a field that is set to the port of another component', () => {
    const clash = { ...api, port: 10250 };
    expect(portClashes([clash, kubelet]).map(({ message }) => message)).toEqual([
      "Cannot start kube-apiserver: port 10250 is also kubelet's",
    ]);
    expect(judgePorts([clash, kubelet], [], idle)).toMatchObject([
      { state: 'fail', fix: 'set spec.api.port to another port' },
    ]);
  });
});

describe('the program that kube-proxy needs', () => {
  async function judge(tools: { hasNftables: boolean; hasIptables: boolean }, mode = 'auto') {
    const { config, host } = await planInputs({
      host: tools,
      spec: `  network: {kubeProxy: {mode: ${mode}}}`,
    });
    const usesNft = mode === 'nftables' || (mode === 'auto' && tools.hasNftables);
    const serviceMode = usesNft ? 'nftables' : 'iptables';
    return judgeServiceTools({ config, host, serviceMode })[0];
  }

  test('one of two is enough, or the one that was chosen', async () => {
    expect(await judge({ hasNftables: true, hasIptables: false })).toMatchObject({ state: 'ok' });
    expect(await judge({ hasNftables: false, hasIptables: true })).toMatchObject({ state: 'ok' });
    expect(await judge({ hasNftables: false, hasIptables: false })).toMatchObject({
      state: 'fail',
      prevents: 'start kube-proxy',
      why: 'neither nft 1.0.1 or newer nor iptables is on this machine',
    });
    expect(await judge({ hasNftables: false, hasIptables: true }, 'nftables')).toMatchObject({
      why: 'nft 1.0.1 or newer is not on this machine',
    });
  });

  test('nothing is asked for where kube-proxy is switched off', async () => {
    const { config, host } = await planInputs({ host: { hasNftables: false, hasIptables: false } });
    expect(judgeServiceTools({ config, host })).toEqual([]);
  });
});

describe('the default route', () => {
  const host = {
    addresses: [{ interface: 'eth0', address: '192.168.7.20', prefix: 24 }],
    defaultGateway: '192.168.7.1',
  };
  const { defaultGateway: _, ...isolated } = host;

  test('a node without one starts: a warning, with the address that it keeps', () => {
    expect(judgeDefaultRoute(host, '')).toEqual([{ state: 'ok', what: 'by 192.168.7.1' }]);
    expect(judgeDefaultRoute(isolated, '')).toMatchObject([
      { state: 'warn', why: expect.stringContaining('keeps its address 192.168.7.20') },
    ]);
    expect(judgeDefaultRoute({ addresses: [] }, '10.0.0.4')).toMatchObject([
      { why: expect.stringContaining('keeps its address 10.0.0.4') },
    ]);
    expect(judgeDefaultRoute({ addresses: [] }, '')).toMatchObject([
      { why: expect.stringContaining('cannot be named') },
    ]);
  });
});

describe('name servers', () => {
  const judge = (machines: readonly string[], pods: readonly string[], path = '/etc/resolv.conf') =>
    judgeNameServers({
      machines,
      pods: { path, nameservers: pods },
      serviceCIDR: '10.96.0.0/12',
    })[0];

  test('of the network', () => {
    expect(judge(['192.168.7.1'], ['192.168.7.1'])).toEqual({
      state: 'ok',
      what: 'pods ask 192.168.7.1 (/etc/resolv.conf)',
    });
  });

  test('behind a local resolver that tells its own', () => {
    const file = '/run/systemd/resolve/resolv.conf';
    expect(judge(['127.0.0.53'], ['192.168.7.1'], file)).toEqual({
      state: 'ok',
      what: `pods ask 192.168.7.1 (${file}, since /etc/resolv.conf names 127.0.0.53)`,
    });
  });

  test('only a local resolver: pods would ask themselves', () => {
    expect(judge(['127.0.0.1'], [], '')).toMatchObject({
      state: 'warn',
      why: '/etc/resolv.conf names only 127.0.0.1: inside a pod that is the pod itself',
    });
  });

  test("the cluster's own DNS: it would ask itself", () => {
    expect(judge(['10.96.0.10'], ['10.96.0.10'])).toMatchObject({
      state: 'warn',
      what: "/etc/resolv.conf names 10.96.0.10, the cluster's own DNS",
    });
  });

  test('a local resolver among others, and none at all', () => {
    expect(judge(['127.0.0.1', '9.9.9.9'], ['127.0.0.1', '9.9.9.9'])).toMatchObject({
      state: 'warn',
    });
    expect(judge([], [], '')).toMatchObject({
      state: 'warn',
      why: 'there is no nameserver in /etc/resolv.conf',
    });
  });
});

describe('forwarding', () => {
  test('as Docker leaves it, by both kinds of iptables', () => {
    const nft = `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter packets 0 bytes 0 jump DOCKER-USER
	}
}`;
    const legacy = '-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n';
    for (const text of [nft, legacy]) {
      expect(parseForward(text)).toEqual({ policy: 'drop', isDockers: true });
    }
    expect(judgeForward(parseForward(legacy))).toMatchObject([
      { state: 'warn', fix: expect.stringContaining('DOCKER-USER') },
    ]);
  });

  test('as a firewall without Docker leaves it', () => {
    expect(judgeForward(parseForward('-P FORWARD DROP\n'))).toMatchObject([
      { state: 'warn', fix: expect.not.stringContaining('DOCKER') },
    ]);
  });

  test('as it is where nobody cared', () => {
    expect(judgeForward(parseForward(''))).toEqual([
      { state: 'ok', what: 'packets may be forwarded' },
    ]);
    expect(parseForward('-P FORWARD ACCEPT\n')).toEqual({ policy: 'accept', isDockers: false });
  });
});
