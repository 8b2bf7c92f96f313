import type { Socket } from 'node:net';

/** What a client says before any server answers: it can be said to another one too. */
export interface Opening {
  /**
   * Lets the client talk to the server until that answers.
   * - `answered`: they belong together from now on. Also when the client says more than can be said again.
   * - `silent`: the server said nothing for so long, hung up or went away; nothing of it has reached the client.
   */
  offer(server: Socket, silenceMs: number): Promise<'answered' | 'silent'>;
  /** Says what the client said so far, for better or worse. */
  repeat(server: Socket): void;
}

/** Of TLS it is one message of a few KiB, and then the client waits. */
const maxBytes = 16 * 1024;

/** The client must be paused; it and the server are paused again when an offer is over. */
export function createOpening(client: Socket): Opening {
  const said: Buffer[] = [];
  const repeat = (server: Socket) => {
    for (const chunk of said) server.write(chunk);
  };
  return {
    repeat,
    offer: (server, silenceMs) =>
      new Promise((resolve) => {
        let timer: NodeJS.Timeout | undefined;
        const waitForAnswer = () => {
          timer ??= setTimeout(() => finish('silent'), silenceMs);
        };
        const listen = (chunk: Buffer) => {
          said.push(chunk);
          server.write(chunk);
          if (sizeOf(said) > maxBytes) finish('answered');
          else waitForAnswer();
        };
        const answer = (chunk: Buffer) => {
          finish('answered');
          server.unshift(chunk);
        };
        const part = () => finish('answered');
        const leave = () => finish('silent');
        const finish = (outcome: 'answered' | 'silent') => {
          clearTimeout(timer);
          client.off('data', listen).off('end', part).off('close', part).pause();
          server.off('data', answer).off('end', leave).off('close', leave).pause();
          resolve(outcome);
        };
        server.on('data', answer).once('end', leave).once('close', leave);
        client.once('end', part).once('close', part);
        repeat(server);
        if (said.length > 0) waitForAnswer();
        client.on('data', listen).resume();
      }),
  };
}

function sizeOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}
