import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the range from which the kernel takes the ports of outgoing connections, and that of servers on port 0. */
const firstPort = 20_000;
const portCount = 12_000;

/** Test files run side by side, each in a process of its own: where each one looks first is chance. */
let next = Math.floor(Math.random() * portCount);

/** Ports of the loopback that nobody uses now, and that nobody else gets by chance later; all are different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; tried < portCount && ports.length < count; tried += 1) {
    const port = firstPort + next;
    next = (next + 1) % portCount;
    if (await isFree(port)) ports.push(port);
  }
  if (ports.length < count) throw new Error(`no ${count} free ports are left on the loopback`);
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
