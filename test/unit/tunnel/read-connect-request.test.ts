import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type ReadOutcome, readConnectRequest } from '../../../src/tunnel/read-connect-request.ts';

const header = 'CONNECT node-a:10250 HTTP/1.1\r\nHost: x\r\n\r\n';
const request = { type: 'request', target: { host: 'node-a', port: 10250 } };

function client(): Duplex {
  return new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
}

/** Outcomes so far: one is right. */
function readFrom(stream: Duplex, timeoutMs = 10_000): ReadOutcome[] {
  const outcomes: ReadOutcome[] = [];
  readConnectRequest(stream, timeoutMs, (outcome) => outcomes.push(outcome));
  return outcomes;
}

/** The text as a small part of a large chunk, as frames of a session are. */
function partOfChunk(text: string): Buffer {
  const chunk = Buffer.alloc(64 * 1024);
  return chunk.subarray(0, chunk.write(text, 'latin1'));
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a CONNECT request', () => {
  it('is handed over as it arrives, once, and the stream is paused', async () => {
    const stream = client();
    const outcomes = readFrom(stream);
    stream.push(header);
    expect(outcomes).toMatchObject([request]);
    expect(stream.isPaused()).toBe(true);
    stream.push('more');
    stream.push(null);
    stream.destroy();
    await turn();
    expect(outcomes).toHaveLength(1);
    expect(stream.listenerCount('data') + stream.listenerCount('close')).toBe(0);
  });

  it('may come byte by byte', () => {
    const stream = client();
    const outcomes = readFrom(stream);
    for (const byte of header) stream.push(byte);
    expect(outcomes).toMatchObject([request]);
  });

  it('gives back what follows it, without the chunk that it came in', () => {
    const stream = client();
    const outcomes = readFrom(stream);
    stream.push(partOfChunk(`${header}data`));
    expect(outcomes).toMatchObject([request]);
    const rest = stream.read() as Buffer;
    expect(rest.toString()).toBe('data');
    expect(rest.buffer.byteLength).toBe(4);
  });

  it.each([
    ['ends', (stream: Duplex) => stream.push(null)],
    ['is destroyed', (stream: Duplex) => stream.destroy()],
  ])('of a client that %s before it is whole is gone', async (_how, leave) => {
    const stream = client();
    const outcomes = readFrom(stream);
    stream.push(header.slice(0, 20));
    leave(stream);
    await turn();
    expect(outcomes).toEqual([{ type: 'gone' }]);
  });

  it('that does not become whole in time is refused', async () => {
    const stream = client();
    const outcomes = readFrom(stream, 1);
    stream.push(header.slice(0, 20));
    const deadline = performance.now() + 10_000;
    while (outcomes.length === 0 && performance.now() < deadline) await turn();
    const reason = 'no complete CONNECT request within 0.001 s';
    expect(outcomes).toEqual([{ type: 'invalid', refusal: { status: 408, reason } }]);
  });
});
