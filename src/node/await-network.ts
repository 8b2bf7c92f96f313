import { networkInterfaces } from 'node:os';
import { readTextIfExists } from '../base/files.ts';
import { sleep } from '../base/time.ts';
import type { Paths } from '../config/paths.ts';
import type { NodeEvent } from './events.ts';
import { parseDefaultGateway } from './host-facts.ts';
import { lastAddressFile } from './prepare.ts';

/** DHCP answers within a few seconds where there is a cable; without one a node starts with its last address. */
const patienceMs = 20_000;
const pollMs = 250;

export interface NetworkState {
  readonly addresses: readonly string[];
  readonly hasDefaultRoute: boolean;
}

export interface AwaitNetworkOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onEvent: (event: NodeEvent) => void;
}

/**
 * A service may be started before the machine has its address, and would then plan with the one of its last start.
 * Waits for that address or a default route, for a while; not in the foreground, where somebody sees what is there,
 * and not at the first start.
 */
export async function awaitNetwork(
  paths: Paths,
  { env, onEvent }: AwaitNetworkOptions,
  signal: AbortSignal,
): Promise<void> {
  if (env['NOTIFY_SOCKET'] === undefined && env['RC_SVCNAME'] === undefined) return;
  const lastAddress = (await readTextIfExists(lastAddressFile(paths)))?.trim();
  if (isNetworkUp(await readNetworkState(), lastAddress)) return;
  const step = 'waiting for the network';
  const startedAt = performance.now();
  const elapsedMs = () => performance.now() - startedAt;
  onEvent({ type: 'step-started', step });
  while (elapsedMs() < patienceMs && !isNetworkUp(await readNetworkState(), lastAddress)) {
    await sleep(pollMs, signal);
  }
  onEvent({ type: 'step-finished', step, elapsedMs: elapsedMs() });
}

/** Whether planning would find what it found at the last start, or something newer. */
export function isNetworkUp(state: NetworkState, lastAddress: string | undefined): boolean {
  return (
    lastAddress === undefined || state.hasDefaultRoute || state.addresses.includes(lastAddress)
  );
}

async function readNetworkState(): Promise<NetworkState> {
  const routes = (await readTextIfExists('/proc/net/route')) ?? '';
  const addresses = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map(({ address }) => address),
  );
  return { addresses, hasDefaultRoute: parseDefaultGateway(routes) !== undefined };
}
