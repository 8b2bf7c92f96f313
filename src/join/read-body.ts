import type { IncomingMessage } from 'node:http';
import { JoinRefusal } from './join-refusal.ts';

/** A JoinRequest has a few hundred bytes. */
export const maxRequestBytes = 16 * 1024;

/**
 * The JSON of a request's body.
 * @throws JoinRefusal 413 as soon as it is too long, 400 when it is no JSON.
 */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  if (Number(request.headers['content-length'] ?? 0) > maxRequestBytes) throw tooLong();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // Without destroying it: the answer goes through the same connection.
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxRequestBytes) throw tooLong();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks, sizeBytes).toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new JoinRefusal({ status: 400, reason: 'BadRequest', message: 'the body is not JSON' });
  }
}

function tooLong(): JoinRefusal {
  const message = `the body is longer than ${maxRequestBytes} bytes`;
  return new JoinRefusal({ status: 413, reason: 'BadRequest', message });
}
