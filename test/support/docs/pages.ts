import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { blocksOf, type CodeSpan, codeSpansOf, type MarkdownBlock } from './markdown-blocks.ts';

export const ROOT = path.resolve(import.meta.dirname, '../../..');

/**
 * Where a block of commands is run: `on=<place>`. `none` needs no cluster; the others are nodes of the tests that are
 * named here.
 */
export const places = {
  none: 'test/integration/docs/commands.test.ts',
  controller: 'test/e2e/everyday.test.ts',
  worker: 'test/e2e/workers.test.ts',
  installed: 'test/e2e/install.test.ts',
} as const;

export type Place = keyof typeof places;

export const commandLanguages: readonly string[] = ['sh', 'bash', 'shell', 'console', 'zsh'];

/** Every page that a user reads, by its path in the repository. */
export function readPages(): ReadonlyMap<string, string> {
  const docs = readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  const files = ['README.md', 'HACKING.md', ...docs.toSorted().map((name) => `docs/${name}`)];
  return new Map(files.map((file) => [file, readFileSync(path.join(ROOT, file), 'utf8')]));
}

export function allBlocks(): MarkdownBlock[] {
  return [...readPages()].flatMap(([file, text]) => blocksOf(file, text));
}

export function allSpans(): CodeSpan[] {
  return [...readPages()].flatMap(([file, text]) => codeSpansOf(file, text));
}

/** Blocks for one place, by page, in reading order. @throws Error when there is none: the test would prove nothing. */
export function blocksFor(place: Place): ReadonlyMap<string, readonly MarkdownBlock[]> {
  const blocks = allBlocks().filter(({ tags }) => tags.get('on') === place);
  if (blocks.length === 0) throw new Error(`no page has a block with on=${place}`);
  return Map.groupBy(blocks, ({ file }) => file);
}
