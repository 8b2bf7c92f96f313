import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Connection,
  expectNothingLeft,
  type GoPeer,
  pattern,
  readAll,
  sha256,
  startGoPeer,
} from './go-peer.ts';

let peer: GoPeer;
beforeAll(async () => {
  peer = await startGoPeer();
});
afterAll(async () => {
  await peer.stop();
});

/** What one stream does. */
interface Story {
  readonly kind: 'exchange' | 'hash' | 'source' | 'abort' | 'peer-opens';
  readonly down: number;
  /** Written in such parts. */
  readonly up: readonly number[];
  readonly startsPaused: boolean;
}

const size = fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 700_000 }));
const story = fc.record<Story>({
  kind: fc.constantFrom('exchange', 'hash', 'source', 'abort', 'peer-opens'),
  down: size,
  up: fc.array(size, { maxLength: 4 }),
  startsPaused: fc.boolean(),
});

async function perform(connection: Connection, tale: Story): Promise<void> {
  const all = pattern(tale.up.reduce((sum, part) => sum + part, 0));
  switch (tale.kind) {
    case 'exchange': {
      const got = await converse(connection, `exchange ${tale.down}`, tale);
      expect(got.subarray(0, tale.down).equals(pattern(tale.down))).toBe(true);
      expect(got.subarray(tale.down).toString()).toBe(sha256(all));
      return;
    }
    case 'hash':
      expect((await converse(connection, 'hash', tale)).toString()).toBe(sha256(all));
      return;
    case 'source': {
      const got = await converse(connection, `source-then-hash ${tale.down}`, tale);
      expect(got.equals(pattern(tale.down))).toBe(true);
      return;
    }
    case 'abort': {
      const stream = connection.command(`exchange ${tale.down}`);
      for (const part of tale.up) stream.write(pattern(part));
      if (!tale.startsPaused) stream.resume();
      await pause(1);
      stream.resetAndDestroy();
      return;
    }
    case 'peer-opens':
      expect(await connection.ask(`open 3 ${tale.down}`)).toBe('ok');
  }
}

async function converse(connection: Connection, command: string, tale: Story): Promise<Buffer> {
  const stream = connection.command(command);
  const answer = readAll(stream);
  if (tale.startsPaused) stream.pause();
  let offset = 0;
  for (const part of tale.up) {
    const bytes = Buffer.allocUnsafe(part);
    for (let at = 0; at < part; at += 1) bytes[at] = (offset + at) % 251;
    offset += part;
    if (!stream.write(bytes)) await pause(1);
  }
  stream.end();
  await pause(tale.startsPaused ? 5 : 0);
  stream.resume();
  return await answer;
}

async function pause(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test.each(['server', 'client'] as const)(
  'as %s: streams of all kinds in any mixture are exact and leave nothing',
  async (role) => {
    const mixture = fc.array(story, { minLength: 1, maxLength: 12 });
    const windowBytes = fc.constantFrom(256 * 1024, 1024 * 1024, 16 * 1024 * 1024);
    let last: Promise<void> | undefined;
    const play = async (stories: readonly Story[], window: number, isTls: boolean) => {
      const connection = await peer.connect({ role, isTls, peer: { windowBytes: window } });
      await Promise.all(stories.map((tale) => perform(connection, tale)));
      await expectNothingLeft(connection);
    };
    await fc.assert(
      fc.asyncProperty(mixture, windowBytes, fc.boolean(), (stories, window, isTls) => {
        last = play(stories, window, isTls);
        return last;
      }),
      // The time is bounded, not the luck: a slow machine tries fewer mixtures.
      { numRuns: 100, interruptAfterTimeLimit: 15_000, markInterruptAsFailure: false },
    );
    // An interrupt leaves the mixture that it meets on its way, and the end of the peer would break that off.
    await last;
  },
);
