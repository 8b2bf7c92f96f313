import { connect } from 'node:net';
import type { TestNode } from '../node/types.ts';

/** What the tunnel server of a controller says to a CONNECT, and how long that took. */
export interface TunnelAnswer {
  /** `HTTP/1.1 503 node edge-a has no tunnel: last seen 46 s ago` */
  readonly statusLine: string;
  readonly elapsedMs: number;
}

/** Asks as kube-apiserver does: CONNECT on the controller's Unix socket. The connection is closed after the answer. */
export function dialTunnel(controller: TestNode, target: string): Promise<TunnelAnswer> {
  const path = `/proc/${controller.pid}/root/run/mini-k8s/tunnel.sock`;
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    let answer = '';
    socket.once('connect', () => {
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      const end = answer.indexOf('\r\n');
      if (end === -1) return;
      resolve({ statusLine: answer.slice(0, end), elapsedMs: performance.now() - startedAt });
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`no answer to CONNECT ${target}: "${answer}"`)));
  });
}
