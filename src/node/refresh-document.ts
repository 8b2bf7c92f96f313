import { readFile } from 'node:fs/promises';
import type { ApiEndpoint } from '../api-endpoint/types.ts';
import { dialTcp } from '../base/dial.ts';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import { type Clock, sleep } from '../base/time.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { membershipComponent } from '../components/layout.ts';
import type { GatewayClientOptions } from '../join/gateway-connection.ts';
import { refreshDocument } from '../join/join-client.ts';
import type { JoinDocument, JoinRequest } from '../join/types.ts';
import type { Component } from '../supervisor/types.ts';
import type { TunnelAgent } from '../tunnel/agent.ts';
import { gatherHostFacts } from './host-facts.ts';
import { loopComponent } from './loop-component.ts';
import { writeMembership } from './membership.ts';
import { lastAddressFile, type PreparedNode } from './prepare.ts';

export interface KeepDocumentOptions {
  readonly node: PreparedNode;
  readonly document: JoinDocument;
  readonly agent: TunnelAgent;
  readonly apiEndpoint: ApiEndpoint;
  readonly proxy: ProxySettings | undefined;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The controllers hear of a changed address within this time, milliseconds. */
const refreshMs = 5 * 60_000;
const retryMs = 30_000;

/**
 * Asks the controllers again and again for the join document and keeps it for the next start, which may be without a
 * network; and tells them the addresses that this machine has now.
 */
export function keepDocument(options: KeepDocumentOptions): Component {
  const { node, clock, logger } = options;
  return loopComponent({
    name: 'join-document',
    dependsOn: [membershipComponent],
    clock,
    run: async (signal) => {
      let gateways = options.document.gateways;
      while (!signal.aborted) {
        const next = await refresh(options, gateways, signal).catch((error: unknown) => {
          if (!signal.aborted) logger.info(`join document: ${errorMessage(error)}`);
          return undefined;
        });
        if (next !== undefined) {
          gateways = next.gateways;
          options.agent.setControllers(next.gateways);
          await writeMembership(node.paths, { nodeName: node.plan.nodeName, document: next });
        }
        await sleep(next === undefined ? retryMs : refreshMs, signal);
      }
    },
  });
}

async function refresh(
  options: KeepDocumentOptions,
  gateways: readonly string[],
  signal: AbortSignal,
): Promise<JoinDocument> {
  const { node, document } = options;
  const pem = await readFile(kubeletClientCertificate(node.paths), 'utf8');
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(node.paths) });
  const request = await describeMachine({ ...node, host }, options.version);
  const membership = { gateways, ca: document.ca, cert: pem, key: pem };
  return (await refreshDocument(membership, request, gatewayClient(options), signal)).document;
}

/** What this machine says about itself. */
export async function describeMachine(
  { host, plan }: Pick<PreparedNode, 'host'> & { readonly plan: { readonly nodeName: string } },
  version: string,
): Promise<JoinRequest> {
  return {
    nodeName: plan.nodeName,
    machineId: host.machineId,
    bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    version,
    arch: host.arch,
    addresses: host.addresses.map(({ address }) => address),
  };
}

const dialTimeoutMs = 10_000;

/** How this machine speaks to gateways: through its proxy where there is one. */
export function gatewayClient(options: {
  readonly proxy: ProxySettings | undefined;
  readonly clock: Clock;
}): GatewayClientOptions {
  const { proxy, clock } = options;
  return {
    clock,
    dial: (server, signal) => dialTcp({ ...server, proxy, timeoutMs: dialTimeoutMs }, signal),
  };
}
