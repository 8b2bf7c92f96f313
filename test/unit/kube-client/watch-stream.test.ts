import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResourceType } from '../../../src/kube-client/types.ts';
import { parseWatchLine, splitLines } from '../../../src/kube-client/watch-stream.ts';

const pods: ResourceType = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]) {
  let start = 0;
  for (let index = 0; start < bytes.length; index += 1) {
    const end = start + (sizes[index % sizes.length] ?? 1);
    yield bytes.subarray(start, end);
    start = end;
  }
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe('splitLines', () => {
  it('gives the same lines however the stream is cut, also within a character', async () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => JSON.stringify(text));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (lines, sizes) => {
          const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
          expect(await collect(splitLines(chunksOf(bytes, sizes)))).toEqual(lines);
        },
      ),
    );
  });

  it('drops empty lines and a last line without its end', async () => {
    const bytes = Buffer.from('{"a":1}\n\n{"b":2}\n{"cut');
    expect(await collect(splitLines(chunksOf(bytes, [5])))).toEqual(['{"a":1}', '{"b":2}']);
  });

  it('refuses a line without end', async () => {
    const bytes = Buffer.alloc(100, 'x');
    await expect(collect(splitLines(chunksOf(bytes, [10]), 50))).rejects.toThrow(
      'longer than 50 bytes',
    );
  });
});

describe('parseWatchLine', () => {
  it('gives metadata-only objects the type of their resource', () => {
    const line =
      '{"type":"ADDED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}}';
    expect(parseWatchLine(line, pods)).toEqual({
      type: 'ADDED',
      object: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } },
    });
  });

  it('reads a bookmark', () => {
    const line = '{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"77"}}}';
    expect(parseWatchLine(line, pods)).toEqual({ type: 'BOOKMARK', resourceVersion: '77' });
  });

  it('throws an ERROR event', () => {
    const line =
      '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}';
    expect(() => parseWatchLine(line, pods)).toThrow(
      expect.objectContaining({ code: 410, reason: 'Expired', message: 'too old' }),
    );
  });
});
