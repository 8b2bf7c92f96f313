import { describe, expect, it } from 'vitest';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import { jsonFile, planFor } from '../../support/plan-inputs.ts';

async function gatewayOf(spec?: string) {
  const plan = await planFor(spec === undefined ? {} : { spec });
  const find = (wanted: string) => plan.pki.certificates.find(({ name }) => name === wanted);
  return { plan, certificate: find('gateway'), apiserver: find('kube-apiserver') };
}

describe('the gateway', () => {
  it('has a certificate with all names of the API server and its own, and the CA in its chain', async () => {
    const { certificate, apiserver } = await gatewayOf();
    expect(certificate).toMatchObject({ authority: 'ca', usage: 'server', includeAuthority: true });
    expect(certificate?.dnsNames).toEqual([gatewayServerName, ...(apiserver?.dnsNames ?? [])]);
    expect(certificate?.ipAddresses).toEqual(apiserver?.ipAddresses);
    expect(apiserver?.dnsNames).not.toContain(gatewayServerName);
  });

  it('is there on a controller without workloads too', async () => {
    const { pki } = await planFor({ runsWorkloads: false });
    expect(pki.certificates.map(({ name }) => name)).toContain('gateway');
  });

  it('is reached at the address of the node unless another is configured', async () => {
    const { plan } = await gatewayOf();
    expect(jsonFile(plan, 'gateway.json')).toEqual({ servers: ['192.168.7.20:9443'] });
    const other = await gatewayOf('  api: {externalAddress: edge.example.com, gatewayPort: 19443}');
    expect(jsonFile(other.plan, 'gateway.json')).toEqual({ servers: ['edge.example.com:19443'] });
  });

  it('has the external address in its certificate and in that of the API server', async () => {
    const named = await gatewayOf('  api: {externalAddress: edge.example.com}');
    const numbered = await gatewayOf('  api: {externalAddress: 203.0.113.9}');
    for (const { dnsNames } of [named.certificate, named.apiserver].flatMap((c) => c ?? [])) {
      expect(dnsNames).toContain('edge.example.com');
    }
    for (const { ipAddresses } of [numbered.certificate, numbered.apiserver].flatMap(
      (c) => c ?? [],
    )) {
      expect(ipAddresses).toContain('203.0.113.9');
    }
  });

  it('has each name once, however it is written', async () => {
    const { plan, certificate, apiserver } = await gatewayOf(
      '  api: {externalAddress: Edge.Example.COM, sans: [EDGE.example.com, "*.Lab.example"]}',
    );
    expect(jsonFile(plan, 'gateway.json')).toEqual({ servers: ['edge.example.com:9443'] });
    for (const { dnsNames } of [certificate, apiserver].flatMap((c) => c ?? [])) {
      const own = dnsNames.filter((name) => /example/i.test(name));
      expect(own).toEqual(['edge.example.com', '*.lab.example']);
    }
  });
});
