import { dialTcp } from '../../../src/base/dial.ts';
import { systemClock } from '../../../src/base/time.ts';
import type { GatewayClientOptions } from '../../../src/join/gateway-connection.ts';
import type { JoinDocument, JoinRequest, JoinToken, NodeSite } from '../../../src/join/types.ts';
import { pinOf } from '../../../src/join/verify-gateway.ts';
import type { RigAuthority } from '../gateway/rig.ts';

/** How a machine of the tests speaks to gateways. */
export const clientOptions: GatewayClientOptions = {
  clock: systemClock,
  dial: (server, signal) => dialTcp({ ...server, timeoutMs: 20_000 }, signal),
};

export const signal = new AbortController().signal;

export const machine: JoinRequest = {
  nodeName: 'edge-1',
  machineId: 'a'.repeat(32),
  bootId: 'aaaaaaaa-0000-4000-8000-000000000000',
  version: '0.1.0',
  arch: 'amd64',
  addresses: ['127.0.0.1', '10.0.0.4'],
};

export const otherMachine: JoinRequest = {
  ...machine,
  machineId: 'b'.repeat(32),
  bootId: 'bbbbbbbb-0000-4000-8000-000000000000',
};

export function documentOf(authority: RigAuthority, site: NodeSite): JoinDocument {
  return {
    version: 1,
    ca: authority.pem,
    apiServers: ['127.0.0.1:6443'],
    gateways: ['127.0.0.1:9443'],
    config: { kind: 'ClusterConfig' },
    kubernetesVersion: '1.37.1',
    site,
    artifacts: [],
  };
}

export function tokenOf(
  authority: RigAuthority,
  token: { readonly id: string; readonly secret: string },
  ports: readonly number[],
): JoinToken {
  const servers = ports.map((port) => `127.0.0.1:${port}`);
  const { id, secret } = token;
  return { role: 'worker', id, secret, caPin: pinOf(authority.pem), servers };
}
