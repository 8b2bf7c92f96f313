import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** A helper of the measurement that listens on a port of the loopback; it ends with this process. */
export interface Forked {
  readonly child: ChildProcess;
  readonly port: number;
  readonly stop: () => Promise<void>;
}

export async function forkListener(file: string): Promise<Forked> {
  const child = fork(path.join(import.meta.dirname, file));
  const [port] = (await once(child, 'message')) as [number];
  return {
    ...{ child, port },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** How many of the target's senders wait for a receiver that takes nothing. */
export function countStuckSenders(target: Forked): Promise<number> {
  return ask(target, 'stuck');
}

/** How many connections the target has. */
export function countConnections(target: Forked): Promise<number> {
  return ask(target, 'connections');
}

async function ask(target: Forked, question: string): Promise<number> {
  const answer = once(target.child, 'message') as Promise<[number]>;
  target.child.send(question);
  return (await answer)[0];
}
