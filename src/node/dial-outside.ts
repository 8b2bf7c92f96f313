import type { Socket } from 'node:net';
import { dialTcp } from '../base/dial.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';

/** For a name, TCP and the answer of a proxy, milliseconds. */
const timeoutMs = 10_000;

/** How this machine reaches gateways, mirrors, upstream and registries: through its proxy where there is one. */
export function dialOutside(
  proxy: ProxySettings | undefined,
): (
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
) => Promise<Socket> {
  return (address, signal) => dialTcp({ ...address, proxy, timeoutMs }, signal);
}
