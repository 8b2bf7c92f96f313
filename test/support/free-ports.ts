import { once } from 'node:events';
import { createServer } from 'node:net';

/** Ports of the loopback that nobody uses now; all are different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  });
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}
