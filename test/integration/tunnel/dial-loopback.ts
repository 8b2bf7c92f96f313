import { connect, type Socket } from 'node:net';

/** A dial that connects to that port of this machine, whatever the address. */
export function dialLoopback(_address: string, port: number): Socket {
  return connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
}
