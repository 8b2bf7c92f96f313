import { createClient, download, upload } from './client.ts';
import { startDelayLine } from './delay-line.ts';
import type { Forked } from './forked.ts';

/** What the delay line carries by itself, MB/s: far above what goes through it, or it is the limit. */
export interface Line {
  readonly down: number;
  readonly up: number;
}

const bytes = 500e6;

export async function measureLine(target: Forked, rttMs: number): Promise<Line> {
  const line = await startDelayLine(target.port, rttMs);
  const client = createClient({ address: { host: '127.0.0.1', port: line.port } });
  const rate = async (transfer: typeof download) => {
    const startedAt = performance.now();
    await transfer(client, bytes);
    return bytes / 1_000 / (performance.now() - startedAt);
  };
  try {
    return { down: await rate(download), up: await rate(upload) };
  } finally {
    client.close(new Error('measured'));
    await line.stop();
  }
}
