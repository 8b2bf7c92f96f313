import type { Socket } from 'node:net';

/**
 * Tells when a server says nothing for so long although its client has said something. Once, until the server says
 * something again: a request may take its time, and only whoever asks the server itself can know.
 */
export function watchSilence(
  client: Socket,
  server: Socket,
  { silenceMs, onSilent }: { readonly silenceMs: number; readonly onSilent: () => void },
): void {
  let timer: NodeJS.Timeout | undefined;
  client.on('data', () => {
    timer ??= setTimeout(onSilent, silenceMs);
  });
  server.on('data', () => {
    clearTimeout(timer);
    timer = undefined;
  });
  server.once('close', () => clearTimeout(timer));
}
