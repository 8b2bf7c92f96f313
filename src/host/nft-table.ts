import { errorCode, errorMessage } from '../base/errors.ts';
import { runTool, type ToolRunner, toolOutput } from './run-tool.ts';
import type { SettingOutcome } from './types.ts';

export interface NftTable {
  /** Of family `ip`; nobody else's. */
  readonly name: string;
  /** Its chains, as they stand between the braces of `table ip <name> { … }`. */
  readonly ruleset: string;
}

/**
 * Makes a table exactly this, whatever it was before, in one transaction: no packet sees it half done.
 * @see https://man7.org/linux/man-pages/man8/nft.8.html
 */
export async function ensureNftTable(
  { name, ruleset }: NftTable,
  run: ToolRunner = runTool,
): Promise<SettingOutcome> {
  const before = await listTable(name, run);
  // A table can only be deleted when it is there, so it is added first.
  const script = `table ip ${name}\ndelete table ip ${name}\ntable ip ${name} {\n${ruleset}\n}\n`;
  try {
    await run('nft', ['-f', '-'], script);
  } catch (error) {
    return { type: 'skipped', reason: describeFailure(error) };
  }
  return { type: (await listTable(name, run)) === before ? 'unchanged' : 'changed' };
}

/** Returns what was removed, for a person; undefined when it is not there. */
export async function removeNftTable(
  name: string,
  run: ToolRunner = runTool,
): Promise<string | undefined> {
  if ((await listTable(name, run)) === undefined) return undefined;
  await run('nft', ['delete', 'table', 'ip', name]);
  return `nftables table ip ${name}`;
}

function listTable(name: string, run: ToolRunner): Promise<string | undefined> {
  return toolOutput(run, 'nft', ['list', 'table', 'ip', name]);
}

function describeFailure(error: unknown): string {
  if (errorCode(error) === 'ENOENT') return 'nft is not installed (apt-get install nftables)';
  return errorMessage(error).split('\n')[0] ?? '';
}
