import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buildGoProgram } from '../../support/go/build-go-program.ts';

/** A long line to a port of the loopback, in a process that ends with this one. */
export interface DelayLine {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

const buildTimeoutMs = 5 * 60_000;

/**
 * In Go: a proxy in Node.js needs as much of the processor as a tunnel does, and both tunnels are slowed down to its
 * pace.
 */
export async function startDelayLine(targetPort: number, rttMs: number): Promise<DelayLine> {
  const program = await buildGoProgram('delay-line', AbortSignal.timeout(buildTimeoutMs));
  const child = spawn(program, [String(targetPort), String(rttMs / 2)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [answer] = (await Promise.race([
    once(child.stdout, 'data'),
    exited.then(() => Promise.reject(new Error('the delay line ended'))),
  ])) as [Buffer];
  return {
    port: Number(answer.toString('latin1')),
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
