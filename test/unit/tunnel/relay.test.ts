import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { relay } from '../../../src/tunnel/relay.ts';

/** One end of a connection whose other end does nothing. */
class End extends Duplex {
  readonly bytesRead = 0;
  readonly bytesWritten = 0;
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
  destroySoon(): void {
    this.destroy();
  }
  resetAndDestroy(): this {
    return this.destroy();
  }
}

/** Both ends, joined, and who of them has told its owner that it is closed. */
function joined() {
  const ends = { client: new End(), target: new End() };
  const heard: string[] = [];
  for (const [name, end] of Object.entries(ends)) {
    end.on('error', () => {});
    end.on('close', () => heard.push(name));
  }
  relay(ends.client, ends.target, {});
  return { ...ends, heard };
}

test.each(['client', 'target'] as const)('owners hear of both, the %s first', async (first) => {
  const { client, target, heard } = joined();
  const order = first === 'client' ? [client, target] : [target, client];
  for (const end of order) end.destroy();
  await new Promise(setImmediate);
  expect(heard.toSorted()).toEqual(['client', 'target']);
});

test('one that breaks off takes the other with it, and nothing listens to them any more', async () => {
  const { client, target, heard } = joined();
  client.destroy(new Error('gone'));
  await new Promise(setImmediate);
  expect(heard).toEqual(['client', 'target']);
  for (const end of [client, target]) {
    expect(end.eventNames()).toEqual(['error']);
    expect(() => end.emit('error', new Error('late'))).not.toThrow();
  }
});
