import type { Duplex } from 'node:stream';

/** How long a transport may take to send the last frames. */
const closeGraceMs = 1000;

/** The last frames get their chance, as long as the peer reads. */
export function closeGently(transport: Duplex): void {
  if (transport.destroyed) return;
  const timer = setTimeout(() => transport.destroy(), closeGraceMs);
  transport.once('close', () => clearTimeout(timer));
  transport.end();
}
