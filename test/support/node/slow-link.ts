import { spawn } from 'node:child_process';
import path from 'node:path';
import { waitFor } from '../../../src/base/time.ts';
import { runOnHost } from './host-command.ts';
import { inNamespace } from './network-namespace.ts';
import type { NatSite } from './types.ts';

export interface SlowLine {
  /** Each way: a round trip takes twice this. */
  readonly delayMs: number;
  /** Part of the packets that is lost, each way: 0.02 = 2 %. */
  readonly lossFraction: number;
}

const QUEUE = '7';

/** Makes the uplink of a site long and bad, packet by packet, until it is disposed of. */
export async function slowDownLink(site: NatSite, line: SlowLine): Promise<AsyncDisposable> {
  const inRouter = inNamespace(site.namespace);
  const program = path.join(import.meta.dirname, 'slow-link.pl');
  const [command = '', ...args] = [
    ...inRouter,
    ...['perl', program, QUEUE, String(line.delayMs), String(line.lossFraction)],
  ];
  // It ends with its standard input: also when this process is killed.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
    child.once('exit', () => resolve());
  });
  // nft's own queue statement is missing in more kernels than the target of iptables.
  const setRule = async (action: '-A' | '-D') => {
    for (const direction of ['-i', '-o']) {
      const rule = ['FORWARD', direction, 'wan', '-j', 'NFQUEUE', '--queue-num', QUEUE];
      await runOnHost([...inRouter, 'iptables', '-w', '-t', 'mangle', action, ...rule]);
    }
  };
  try {
    await waitFor(() => said.includes('ready\n'), {
      subject: 'the slow line',
      timeoutMs: 30_000,
      intervalMs: 20,
      describe: () => said,
    });
    await setRule('-A');
  } catch (error) {
    child.stdin.end();
    throw error;
  }
  return {
    [Symbol.asyncDispose]: async () => {
      try {
        await setRule('-D');
      } finally {
        child.stdin.end();
        await ended;
      }
    },
  };
}
