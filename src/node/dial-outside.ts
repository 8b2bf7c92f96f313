import type { Socket } from 'node:net';
import { dialTcp } from '../base/dial.ts';
import { DialError } from '../base/dial-error.ts';
import { type HostPort, renderHostPort } from '../base/host-port.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';

/** A connected socket, straight or through the machine's proxy. */
export type DialOutside = (address: HostPort, signal: AbortSignal) => Promise<Socket>;

/** For a name, TCP and the answer of a proxy, milliseconds. */
const timeoutMs = 10_000;

/** Within it a lost packet is sent again twice, after 1 s and after 3 s; milliseconds. */
const briefTimeoutMs = 4_000;

/** How this machine reaches gateways, mirrors, upstream and registries: through its proxy where there is one. */
export function dialOutside(proxy: ProxySettings | undefined): DialOutside {
  return (address, signal) => dialTcp({ ...address, proxy, timeoutMs }, signal);
}

/**
 * The same for what a node can do without, and waits for at each start: a host that does not answer costs four seconds,
 * and is not waited for again.
 */
export function dialBriefly(proxy: ProxySettings | undefined): DialOutside {
  const silent = new Map<string, DialError>();
  return async (address, signal) => {
    const host = renderHostPort(address);
    const known = silent.get(host);
    if (known !== undefined) throw known;
    try {
      return await dialTcp({ ...address, proxy, timeoutMs: briefTimeoutMs }, signal);
    } catch (error) {
      if (error instanceof DialError && error.code === 'ETIMEDOUT') silent.set(host, error);
      throw error;
    }
  };
}
