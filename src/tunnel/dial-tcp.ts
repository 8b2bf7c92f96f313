import { connect, type Socket } from 'node:net';

/** Addresses are always IPv4 here, so nothing is looked up. Keep-alive finds targets that vanished. */
export function dialTcp(address: string, port: number): Socket {
  return connect({
    host: address,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
}
