import { stripVTControlCharacters } from 'node:util';
import type { CliContext, OutputStream } from '../../src/cli/streams.ts';

/** A stream that remembers what was written. */
export interface FakeStream extends OutputStream {
  text(): string;
}

export function fakeStream(
  terminal: { readonly columns?: number } | undefined = undefined,
): FakeStream {
  const chunks: string[] = [];
  return {
    write: (chunk) => chunks.push(chunk),
    text: () => chunks.join(''),
    ...(terminal === undefined ? {} : { isTTY: true, ...terminal }),
  };
}

/** What a terminal shows of text with colours and lines that were taken back. */
export function screenOf(text: string): string {
  const lines = text.split('\n').map((line) => line.split('\r\u001b[2K').at(-1) ?? '');
  return stripVTControlCharacters(lines.join('\n'));
}

export interface FakeContext extends CliContext {
  readonly stdout: FakeStream;
  readonly stderr: FakeStream;
}

export function fakeContext(env: CliContext['env'] = {}): FakeContext {
  return { env, stdout: fakeStream(), stderr: fakeStream() };
}
