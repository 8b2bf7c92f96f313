import type { Socket } from 'node:net';
import { DialError } from '../base/dial-error.ts';
import { errorMessage } from '../base/errors.ts';
import { StalledError } from './stall-guard.ts';

/** It had its time and gave no answer: it would take as long again to learn the same. */
export class SilentServerError extends Error {
  override readonly name = 'SilentServerError';
}

/** The first answer of a server. One that has answered is slow later on, and no more. */
export interface FirstAnswer {
  /** What a new connection has for its first byte, milliseconds; undefined where that does not matter any more. */
  firstByteMs(): number | undefined;
  /**
   * Does what is to bring an answer.
   * @throws SilentServerError when the time for the first one was over, now or earlier: then nothing is done any more.
   */
  wait<T>(ask: () => Promise<T>): Promise<T>;
}

/** @param firstByteMs Left out: the server is waited for as often as it is asked. */
export function expectFirstAnswer(firstByteMs: number | undefined): FirstAnswer {
  let limitMs = firstByteMs;
  let silence: SilentServerError | undefined;
  return {
    firstByteMs: () => limitMs,
    wait: async (ask) => {
      if (silence !== undefined) throw silence;
      try {
        const answer = await ask();
        limitMs = undefined;
        return answer;
      } catch (error) {
        if (limitMs === undefined || !isOutOfTime(error)) throw error;
        silence = new SilentServerError(errorMessage(error), { cause: error });
        throw silence;
      }
    },
  };
}

function isOutOfTime(error: unknown): boolean {
  return (
    error instanceof StalledError || (error instanceof DialError && error.code === 'ETIMEDOUT')
  );
}

/** Ends a connection on which nothing came in time, with a StalledError. */
export function requireFirstByte(socket: Socket, withinMs: number): void {
  const before = socket.bytesRead;
  const check = () => {
    if (socket.bytesRead > before) return;
    const why = `it took the connection and said nothing for ${withinMs / 1000} s`;
    socket.destroy(new StalledError(why));
  };
  // What came while this process had no time is read before the check.
  const timer = setTimeout(() => setImmediate(check), withinMs);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}
