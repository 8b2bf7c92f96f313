import { connect } from 'node:net';
import { waitFor } from '../../../src/base/time.ts';
import { connectTo, established } from '../../integration/tunnel/harness.ts';

export interface DialBurst {
  readonly asked: number;
  /** Those whose byte came back. */
  readonly answered: number;
  /** Until the last one, milliseconds. */
  readonly allMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What the others got, by text. */
  readonly failures: Readonly<Record<string, number>>;
}

/** No CONNECT may take longer than 8 s; the rest is the machine's. */
const defaultTimeoutMs = 20_000;

/** Opens one connection per target in the same moment, sends CONNECT and one byte, and waits for its echo. */
export async function dialAtOnce(
  socketPath: string,
  targets: readonly { readonly host: string; readonly port: number }[],
  timeoutMs = defaultTimeoutMs,
): Promise<DialBurst> {
  const startedAtMs = performance.now();
  const outcomes: (number | string)[] = [];
  const sockets = targets.map(({ host, port }) => {
    const socket = connect({ path: socketPath });
    let received = '';
    let isOver = false;
    const finish = (outcome: number | string) => {
      if (isOver) return;
      isOver = true;
      outcomes.push(outcome);
    };
    socket.on('error', (error) => finish(error.message.replace(/ \/\S+$/, '')));
    socket.on('close', () => finish(received.split('\r\n', 1)[0] || 'closed without an answer'));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (received === `${established}x`) finish(performance.now() - startedAtMs);
    });
    socket.write(`${connectTo(host, port)}x`);
    return socket;
  });
  await waitFor(() => outcomes.length === targets.length, {
    subject: `${targets.length} answers`,
    timeoutMs,
    intervalMs: 20,
    describe: () => `${outcomes.length}`,
  });
  for (const socket of sockets) socket.destroy();
  return summarizeDials(outcomes);
}

/** Times of those that were answered, and texts of those that were not. Pure. */
export function summarizeDials(outcomes: readonly (number | string)[]): DialBurst {
  const times = outcomes.filter((outcome) => typeof outcome === 'number').toSorted((a, b) => a - b);
  const failures: Record<string, number> = {};
  for (const outcome of outcomes) {
    if (typeof outcome === 'string') failures[outcome] = (failures[outcome] ?? 0) + 1;
  }
  const at = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return {
    asked: outcomes.length,
    answered: times.length,
    allMs: times.at(-1) ?? 0,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    failures,
  };
}
