import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter, maxLineBytes } from '../../../src/supervisor/line-splitter.ts';

function split(...chunks: readonly (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.flush();
  return lines;
}

/** Of one to four bytes. `unit: 'binary'` of fast-check makes a table of all million characters first, for seconds. */
const character = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0x80, max: 0x7ff }),
    fc.integer({ min: 0x800, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0xffff }),
    fc.integer({ min: 0x1_0000, max: 0x10_ffff }),
  )
  .map((codePoint) => String.fromCodePoint(codePoint));

describe('LineSplitter', () => {
  test('joins lines over chunks and leaves out empty ones', () => {
    expect(split('a\nb', 'c\r\n\n', 'd')).toEqual(['a', 'bc', 'd']);
  });

  test('gives the same lines however the bytes are cut, also inside a character', () => {
    const anyText = fc
      .array(fc.string({ unit: character }), { maxLength: 8 })
      .map((t) => t.join('\n'));
    fc.assert(
      fc.property(anyText, fc.array(fc.nat(), { maxLength: 6 }), (text, cuts) => {
        const bytes = Buffer.from(text);
        const at = [0, ...cuts.map((n) => n % (bytes.length + 1)), bytes.length].sort(
          (a, b) => a - b,
        );
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        expect(split(...chunks)).toEqual(split(bytes));
      }),
    );
  });

  test('cuts a long line, says so, and goes on with the next', () => {
    const [long, next] = split('x'.repeat(maxLineBytes - 1), 'yz'.repeat(9999), '\nnext\n');
    expect(long).toBe(`${'x'.repeat(maxLineBytes - 1)}y…`);
    expect(next).toBe('next');
    expect(split('x'.repeat(maxLineBytes))).toEqual(['x'.repeat(maxLineBytes)]);
  });

  test('does not depend on the chunk after push', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    const buffer = Buffer.from('half');
    splitter.push(buffer);
    buffer.fill('?');
    splitter.flush();
    expect(lines).toEqual(['half']);
  });
});
