import { errorMessage } from '../base/errors.ts';
import { runTool, type ToolRunner, toolOutput } from './run-tool.ts';
import type { SettingOutcome } from './types.ts';

/** The last choice among routes to the same network: one that the machine's owner has made goes before it. */
const metric = 4_294_967_294;

/**
 * Makes a route by which packets to a network fail at once, unless there is a better one.
 * @see https://man7.org/linux/man-pages/man8/ip-route.8.html
 */
export async function ensureUnreachableRoute(
  destination: string,
  run: ToolRunner = runTool,
): Promise<SettingOutcome> {
  try {
    if (await isThere(destination, run)) return { type: 'unchanged' };
    await run('ip', ['route', 'add', ...routeTo(destination)]);
    return { type: 'changed' };
  } catch (error) {
    return { type: 'skipped', reason: errorMessage(error).split('\n')[0] ?? '' };
  }
}

/** Returns what was removed, for a person; undefined when it is not there. */
export async function removeUnreachableRoute(
  destination: string,
  run: ToolRunner = runTool,
): Promise<string | undefined> {
  if (!(await isThere(destination, run))) return undefined;
  await run('ip', ['route', 'delete', ...routeTo(destination)]);
  return `unreachable route ${destination}`;
}

async function isThere(destination: string, run: ToolRunner): Promise<boolean> {
  const exact = ['route', 'show', 'exact', destination, 'type', 'unreachable'];
  const found = (await toolOutput(run, 'ip', exact)) ?? '';
  return found.split('\n').some((line) => line.includes(`metric ${metric}`));
}

function routeTo(destination: string): string[] {
  return ['unreachable', destination, 'metric', String(metric)];
}
