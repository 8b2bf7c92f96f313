import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { portClashes } from '../../../src/node/port-check.ts';
import { checkServiceTools, portUses } from '../../../src/node/preflight.ts';
import { planFor, planInputs } from '../../support/plan-inputs.ts';

async function portsOf(spec: string, runsWorkloads = true): Promise<number[]> {
  return portUses(await parseConfig(spec, 'test'), runsWorkloads).map(({ port }) => port);
}

describe('portUses', () => {
  it('has the ports of what runs, and of nothing else', async () => {
    const all = await portsOf('');
    expect(all).toEqual(expect.arrayContaining([6443, 2379, 2380, 10250, 10256]));
    const noProxy = await portsOf('spec: {network: {kubeProxy: {enabled: false}}}');
    expect(all.filter((port) => !noProxy.includes(port)).toSorted((a, b) => a - b)).toEqual([
      10249, 10256,
    ]);
    expect(await portsOf('', false)).not.toContain(10250);
  });

  it('finds a field that is set to the port of another component', async () => {
    const config = await parseConfig('spec: {api: {port: 10250}}', 'test');
    expect(portClashes(portUses(config, true)).map(({ message }) => message)).toEqual([
      "Cannot start kube-apiserver: port 10250 is also kubelet's",
    ]);
    expect(portClashes(portUses(config, false))).toEqual([]);
  });
});

describe('checkServiceTools', () => {
  async function check(host: { hasNftables: boolean; hasIptables: boolean }, spec?: string) {
    const inputs = { host, ...(spec === undefined ? {} : { spec }) };
    checkServiceTools({ ...(await planInputs(inputs)), plan: await planFor(inputs) });
  }

  it('needs one of the tools, or the one that was chosen', async () => {
    await check({ hasNftables: true, hasIptables: false });
    await check({ hasNftables: false, hasIptables: true });
    await expect(check({ hasNftables: false, hasIptables: false })).rejects.toThrow(
      'Cannot start kube-proxy: neither nft 1.0.1 or newer nor iptables is on this machine',
    );
    const nftables = '  network: {kubeProxy: {mode: nftables}}';
    await expect(check({ hasNftables: false, hasIptables: true }, nftables)).rejects.toThrow(
      'nft 1.0.1 or newer is not on this machine',
    );
  });

  it('asks for nothing where kube-proxy is switched off', async () => {
    await check(
      { hasNftables: false, hasIptables: false },
      '  network: {kubeProxy: {enabled: false}}',
    );
  });
});
