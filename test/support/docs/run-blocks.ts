import type { CommandResult } from '../node/types.ts';
import type { MarkdownBlock } from './markdown-blocks.ts';

/**
 * Runs the blocks of one page in their order, each as a script of its own that ends at its first failure.
 * @throws Error with the place in the page, the script and what it said.
 */
export async function runBlocks(
  blocks: readonly MarkdownBlock[],
  runScript: (script: string) => Promise<CommandResult>,
): Promise<void> {
  for (const { file, line, text } of blocks) {
    const { exitCode, stdout, stderr } = await runScript(`set -euo pipefail\n${text}\n`);
    if (exitCode === 0) continue;
    throw new Error(
      `${file}:${line} ended with exit code ${exitCode}:\n${text}\n${stdout}${stderr}`,
    );
  }
}
