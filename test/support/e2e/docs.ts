import type { MarkdownBlock } from '../docs/markdown-blocks.ts';
import { blocksFor, type Place } from '../docs/pages.ts';
import { runBlocks } from '../docs/run-blocks.ts';
import type { TestNode } from '../node/types.ts';

/** Pages with the blocks that are run at a place, for `test.each`. */
export function pagesAt(place: Exclude<Place, 'none'>): [string, readonly MarkdownBlock[]][] {
  return [...blocksFor(place)];
}

/** Runs a page's blocks on a node as root, in a directory of the page's own that is HOME too. */
export async function runPage(
  node: TestNode,
  file: string,
  blocks: readonly MarkdownBlock[],
): Promise<void> {
  const home = `/root/${file.replaceAll(/\W/g, '-')}`;
  await node.run(['mkdir', '-p', home]);
  await runBlocks(blocks, (script) =>
    node.exec(['bash', '-c', script], { cwd: home, env: { HOME: home }, timeoutMs: 100_000 }),
  );
}
