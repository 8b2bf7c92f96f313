import { once } from 'node:events';
import { connect } from 'node:net';
import { startTarget } from './harness.ts';

/** Who answers a CONNECT does it within 8 s, on a machine that has time for it. */
const limitMs = 8_000;
/** They take two to seven times as long as without a tunnel; the rest is chance: the two are not measured at once. */
const timesDirect = 60;

/** For both ends of a tunnel: nobody gives up, so that what takes long is seen to take long. */
export const patientTimeouts = { headerMs: 120_000, dialMs: 120_000, answerMs: 120_000 };

/**
 * How long a thousand dials at once may take now, milliseconds: 8 s, and longer as far as this machine, beside all
 * that it has to do meanwhile, is slower than one that connects a thousand times without a tunnel in a moment.
 * @param before what `directDialsMs` said before them.
 */
export async function thousandDialsLimitMs(before: number): Promise<number> {
  return Math.max(limitMs, timesDirect * Math.max(before, await directDialsMs()));
}

/** Of a thousand connections to an echo with nothing in between, a hundred at a time. */
export async function directDialsMs(): Promise<number> {
  const echo = await startTarget((socket) => socket.pipe(socket));
  const startedAt = performance.now();
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(Array.from({ length: 100 }, () => dialDirectly(echo.port)));
  }
  const tookMs = performance.now() - startedAt;
  await echo.close();
  return tookMs;
}

async function dialDirectly(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write('hi');
  await once(socket, 'data');
  socket.destroy();
}
