import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { YamuxStream } from '../../../../src/tunnel/yamux/types.ts';
import { readAll, sessionPair, settle, until } from './memory-transport.ts';

/** One stream's story: what each side sends, in parts, and how it ends. */
interface Story {
  readonly up: readonly number[];
  readonly down: readonly number[];
  /** `late`: the agent answers only after the end of what the controller sends. */
  readonly ending: 'together' | 'late' | 'opener-aborts' | 'acceptor-aborts';
  readonly isSlowReader: boolean;
}

const parts = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 90_000 })),
  {
    maxLength: 8,
  },
);
const story = fc.record<Story>({
  up: parts,
  down: parts,
  ending: fc.constantFrom('together', 'late', 'opener-aborts', 'acceptor-aborts'),
  isSlowReader: fc.boolean(),
});

/** A byte for each place, so that order and loss show. */
function content(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (seed + at * 31 + (at >> 8)) & 0xff;
  return bytes;
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

async function send(stream: YamuxStream, seed: number, sizes: readonly number[]): Promise<void> {
  const all = content(seed, sum(sizes));
  let offset = 0;
  for (const size of sizes) {
    if (stream.destroyed) return;
    const hasRoom = stream.write(all.subarray(offset, offset + size));
    offset += size;
    if (!hasRoom) await settle(1);
  }
}

function receive(stream: YamuxStream, tale: Story): Promise<Buffer | undefined> {
  const all = tale.isSlowReader ? readAll(stream, () => settle(2)) : readAll(stream);
  return all.catch(() => undefined);
}

async function act(stream: YamuxStream, tale: Story): Promise<Buffer | undefined> {
  const got = receive(stream, tale);
  await send(stream, stream.id, tale.up);
  if (tale.ending === 'opener-aborts') stream.resetAndDestroy();
  else if (!stream.destroyed) stream.end();
  return await got;
}

async function answer(stream: YamuxStream, tale: Story): Promise<Buffer | undefined> {
  const reading = receive(stream, tale);
  if (tale.ending === 'late') await reading;
  await send(stream, stream.id + 1, tale.down);
  if (tale.ending === 'acceptor-aborts') stream.resetAndDestroy();
  else if (!stream.destroyed) stream.end();
  return await reading;
}

test('streams that end, half-close and abort in any mixture deliver exactly what was sent, and leave nothing', async () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.array(story, { maxLength: 12 }), cuts, async (stories, sizes) => {
      let turn = 0;
      const heard = new Map<number, Promise<Buffer | undefined>>();
      const cut = () => {
        turn += 1;
        return sizes[turn % sizes.length] ?? 1;
      };
      const pair = sessionPair(
        (stream) => {
          const tale = stories[stream.id / 2 - 1] as Story;
          heard.set(stream.id, answer(stream, tale));
        },
        { cut },
      );
      const results = await Promise.all(
        stories.map((tale) =>
          act(
            pair.server.openStream().on('error', () => {}),
            tale,
          ),
        ),
      );
      for (const [index, tale] of stories.entries()) {
        if (tale.ending === 'opener-aborts' || tale.ending === 'acceptor-aborts') continue;
        const id = index * 2 + 2;
        expect(results[index]?.equals(content(id + 1, sum(tale.down)))).toBe(true);
        expect((await heard.get(id))?.equals(content(id, sum(tale.up)))).toBe(true);
      }
      const open = () => pair.client.stats().streams + pair.server.stats().streams;
      await until(() => open() === 0, 'all streams to be gone');
      expect([pair.client.isOpen, pair.server.isOpen]).toEqual([true, true]);
      pair.server.drain();
      expect((await pair.server.ended).message).toBe('drained');
      expect((await pair.client.ended).cause).toBe('closed');
    }),
    { numRuns: 60 },
  );
});
