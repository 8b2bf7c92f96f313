import { readFile } from 'node:fs/promises';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import { type Clock, sleep } from '../base/time.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { membershipComponent } from '../components/layout.ts';
import type { HostFacts } from '../config/host-facts.ts';
import type { Paths } from '../config/paths.ts';
import type { GatewayClientOptions } from '../join/gateway-connection.ts';
import { GatewayError } from '../join/gateway-error.ts';
import { refreshDocument } from '../join/join-client.ts';
import type { JoinDocument, JoinRequest } from '../join/types.ts';
import type { Component } from '../supervisor/types.ts';
import type { TunnelAgent } from '../tunnel/agent.ts';
import { dialOutside } from './dial-outside.ts';
import { gatherHostFacts } from './host-facts.ts';
import { loopComponent } from './loop-component.ts';
import { writeMembership } from './membership.ts';
import { lastAddressFile, type PreparedNode } from './prepare.ts';

export interface KeepDocumentOptions {
  readonly node: Pick<PreparedNode, 'paths' | 'plan'>;
  readonly document: JoinDocument;
  readonly agent: TunnelAgent;
  readonly proxy: ProxySettings | undefined;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when the controllers say that this node was taken out of the cluster. */
  readonly onRemoved: (error: GatewayError) => void;
}

/** The controllers hear of a changed address within this time, milliseconds. */
const refreshMs = 5 * 60_000;
const retryMs = 30_000;
/**
 * A node without any session asks why once it has been so for between one and two times this, milliseconds: after the
 * restart of a controller most have a session again by then, and the others do not ask in the same second.
 */
const lostMs = 5_000;
const lookMs = 1_000;

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
      const session = { isExpected: true };
      while (!signal.aborted) {
        const next = await refresh(options, gateways, signal).catch((error: unknown) => {
          if (signal.aborted) return undefined;
          logger.info(`join document: ${errorMessage(error)}`);
          if (isRemoval(error)) options.onRemoved(error);
          return undefined;
        });
        if (next !== undefined) {
          gateways = next.gateways;
          options.agent.setControllers(next.gateways);
          await writeMembership(node.paths, { nodeName: node.plan.nodeName, document: next });
        }
        const longestMs = next === undefined ? retryMs : refreshMs;
        await pause(options, { longestMs, session, signal });
      }
    },
  });
}

interface Pause {
  readonly longestMs: number;
  /**
   * `isExpected`: from the start on, and since there was one, until somebody was asked where it is. One that came and went
   * before the first look, on a node that was removed at once, was never seen here.
   */
  readonly session: { isExpected: boolean };
  readonly signal: AbortSignal;
}

/** Until it is time to ask again, or until a session that is expected has been away for a while. */
async function pause(
  { agent }: KeepDocumentOptions,
  { longestMs, session, signal }: Pause,
): Promise<void> {
  const untilMs = performance.now() + longestMs;
  const patienceMs = lostMs * (1 + Math.random());
  let lostSinceMs: number | undefined;
  while (performance.now() < untilMs) {
    await sleep(lookMs, signal);
    const isConnected = agent.status().controllers.some((entry) => entry.isConnected);
    session.isExpected ||= isConnected;
    if (isConnected) lostSinceMs = undefined;
    else if (session.isExpected) lostSinceMs ??= performance.now();
    if (lostSinceMs !== undefined && performance.now() - lostSinceMs > patienceMs) {
      session.isExpected = false;
      return;
    }
  }
}

function isRemoval(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.reason === 'NodeRemoved';
}

async function refresh(
  options: KeepDocumentOptions,
  gateways: readonly string[],
  signal: AbortSignal,
): Promise<JoinDocument> {
  const { paths, plan } = options.node;
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  return askAgain({ ...options, paths, host, nodeName: plan.nodeName }, gateways, signal);
}

/** A member, and what it has from its join. */
export interface AskingMember {
  readonly paths: Paths;
  readonly host: HostFacts;
  readonly nodeName: string;
  readonly document: JoinDocument;
  readonly proxy: ProxySettings | undefined;
  readonly version: string;
  readonly clock: Clock;
}

/**
 * What the controllers tell a member now, by its kubelet's certificate.
 * @throws GatewayError, `refused` for a node that they do not take any more, or UserErrors with one of each gateway.
 */
export async function askAgain(
  member: AskingMember,
  gateways: readonly string[],
  signal: AbortSignal,
): Promise<JoinDocument> {
  const pem = await readFile(kubeletClientCertificate(member.paths), 'utf8');
  const request = await describeMachine(member.host, member);
  const membership = { gateways, ca: member.document.ca, cert: pem, key: pem };
  return (await refreshDocument(membership, request, gatewayClient(member), signal)).document;
}

/** What this machine says about itself. */
export async function describeMachine(
  host: HostFacts,
  { nodeName, version }: { readonly nodeName: string; readonly version: string },
): Promise<JoinRequest> {
  return {
    nodeName,
    machineId: host.machineId,
    bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    version,
    arch: host.arch,
    addresses: host.addresses.map(({ address }) => address),
  };
}

/** How this machine speaks to gateways: through its proxy where there is one. */
export function gatewayClient(options: {
  readonly proxy: ProxySettings | undefined;
  readonly clock: Clock;
}): GatewayClientOptions {
  const { proxy, clock } = options;
  return {
    clock,
    dial: dialOutside(proxy),
  };
}
