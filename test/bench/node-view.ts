import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { errorCode } from '../../src/base/errors.ts';
import type { TestNode } from '../support/node/types.ts';
import { sumByName } from './statistics.ts';

// What is looked at while a node is measured is looked at from the host: a command inside would use the
// node's CPU and memory, and be part of the result.

/** A file of the node by a path that the host can open. */
export function fromHost(node: TestNode, file: string): string {
  return path.join(`/proc/${node.pid}/root`, file);
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
}

/** The node's API over its address, as its administrator; one connection that is kept. */
export interface ApiView {
  /** Undefined while nobody answers: no certificates yet, nobody listening, connection lost. */
  get(path: string): Promise<ApiAnswer | undefined>;
  close(): void;
}

export function createApiView(node: TestNode, dataDir: string): ApiView {
  let agent: Agent | undefined;
  return {
    get: async (url) => {
      agent ??= openAgent(fromHost(node, `${dataDir}/pki`));
      if (agent === undefined) return undefined;
      return send(agent, { host: node.address, port: 6443, path: url });
    },
    close: () => agent?.destroy(),
  };
}

function openAgent(pkiDir: string): Agent | undefined {
  const files = ['ca.crt', 'admin-client.crt', 'admin-client.key'].map((name) =>
    path.join(pkiDir, name),
  );
  if (!files.every((file) => existsSync(file))) return undefined;
  const [ca, cert, key] = files.map((file) => readFileSync(file));
  return new Agent({ keepAlive: true, maxSockets: 1, ca, cert, key });
}

function send(
  agent: Agent,
  target: { readonly host: string; readonly port: number; readonly path: string },
): Promise<ApiAnswer | undefined> {
  return new Promise((resolve) => {
    const outgoing = request({ ...target, agent, timeout: 5_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => resolve(undefined));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', () => resolve(undefined));
    outgoing.end();
  });
}

export interface ProcessUsage {
  readonly name: string;
  readonly anonymousBytes: number;
  /** User and system time since its start, with that of its children that have ended. */
  readonly cpuMs: number;
}

/** Clock ticks of /proc/<pid>/stat; 100 per second on every Linux that Node.js runs on. */
const TICK_MS = 10;

/** Memory and CPU time of every process of the node and its containers. */
export async function readProcessUsage(node: TestNode): Promise<readonly ProcessUsage[]> {
  const processes = await node.processes();
  const usages = await Promise.all(
    processes.map(async ({ pid, name, commandLine, anonymousBytes }) => ({
      name: path.basename(commandLine[0] ?? name),
      anonymousBytes,
      cpuMs: await readCpuMs(pid),
    })),
  );
  // The node's PID 1 and what it waits for are the test's own.
  return usages.filter(({ name }) => !['sh', 'sleep'].includes(name));
}

export function cpuSecondsByProcess(usages: readonly ProcessUsage[]) {
  return sumByName(usages, ({ cpuMs }) => cpuMs / 1000);
}

async function readCpuMs(pid: number): Promise<number> {
  try {
    return parseCpuTicks(await readFile(`/proc/${pid}/stat`, 'utf8')) * TICK_MS;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return 0;
    throw error;
  }
}

/** utime + stime + cutime + cstime. @see proc_pid_stat(5): the name in parentheses may contain anything. */
export function parseCpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}
