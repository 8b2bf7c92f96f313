import { once } from 'node:events';
import { createServer, type ListenOptions } from 'node:net';

/** Below the range from which the kernel takes the ports of outgoing connections, and that of servers on port 0. */
const firstPort = 20_000;
const portCount = 12_000;

/** Test files run side by side, each in a process of its own: where each one looks first is chance. */
let next = Math.floor(Math.random() * portCount);

/**
 * Ports of the loopback that nobody uses now, that nobody else gets by chance later, and that no other process is
 * given here before this one ends; all are different.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; tried < portCount && ports.length < count; tried += 1) {
    const port = firstPort + next;
    next = (next + 1) % portCount;
    if ((await reserve(port)) && (await isFree(port))) ports.push(port);
  }
  if (ports.length < count) throw new Error(`no ${count} free ports are left on the loopback`);
  return ports;
}

/** A name that is this process's until it ends: a program that is to have the port may take seconds to listen. */
async function reserve(port: number): Promise<boolean> {
  return (await listenAt({ path: `\0mini-k8s-test-port-${port}` })) !== undefined;
}

async function isFree(port: number): Promise<boolean> {
  const server = await listenAt({ port, host: '127.0.0.1' });
  if (server === undefined) return false;
  server.close();
  await once(server, 'close');
  return true;
}

/** Undefined when somebody else is there. It keeps no process alive. */
async function listenAt(options: ListenOptions) {
  const server = createServer().listen(options).unref();
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}
