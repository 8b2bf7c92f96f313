import type { Socket } from 'node:net';
import { dialTcp } from '../base/dial.ts';
import type { HostPort } from '../base/host-port.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';

/** A connected socket, straight or through the machine's proxy. */
export type DialOutside = (address: HostPort, signal: AbortSignal) => Promise<Socket>;

/** How long a server is waited for. */
export interface Patience {
  /** For a name, TCP and the answer of a proxy, milliseconds. */
  readonly connectMs: number;
  /**
   * For the first byte on a connection, as long as nothing was heard of the server yet, milliseconds. It has one
   * time-out then: after that it is not asked again. Left out: it is waited for as often as it is asked.
   */
  readonly firstByteMs?: number | undefined;
}

/** For what a node cannot do without, or somebody waits for. */
export const fullPatience: Patience = { connectMs: 10_000 };

/**
 * For a mirror: most of what it has is elsewhere too, and each start waits for it while anything is lacking. A resolver
 * asks its second name server after 5 s, and a lost packet is sent again after 1 s. The first byte of a TLS handshake, or
 * of an answer without TLS, is one round trip away, however slow the line is: three lost packets in turn fit into 10 s.
 */
export const mirrorPatience: Patience = { connectMs: 7_000, firstByteMs: 10_000 };

/** For images that containerd pulls later. Within 4 s a lost packet is sent again twice, after 1 s and after 3 s. */
export const imagePatience: Patience = { connectMs: 4_000, firstByteMs: 10_000 };

/** How this machine reaches gateways, mirrors, upstream and registries: through its proxy where there is one. */
export function dialOutside(
  proxy: ProxySettings | undefined,
  { connectMs }: Patience = fullPatience,
): DialOutside {
  return (address, signal) => dialTcp({ ...address, proxy, timeoutMs: connectMs }, signal);
}
