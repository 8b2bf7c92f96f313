import type { CommandSpec } from '../../../src/cli/command.ts';
import { commands } from '../../../src/cli/commands/index.ts';
import { run } from '../../../src/cli/run.ts';
import { fakeContext } from '../fake-stream.ts';
import { shellCommands } from './shell-words.ts';

/** One call of mini-k8s in a script. */
export interface Call {
  /** What follows the program's name. */
  readonly args: readonly string[];
  /** The commands' names: `['controller', 'install']`. */
  readonly path: readonly string[];
}

/** Words before the program that are not it: `sudo`, `ssh root@edge-7`, `HTTPS_PROXY=…`. */
const prefix = /^((\w+=\S*|sudo|exec|time|if|then|do|while|!|ssh \S+)( |$))*$/;

/** Every call of mini-k8s in a script. */
export function callsIn(script: string): Call[] {
  return shellCommands(script).flatMap((words) => {
    const index = words.findIndex((word) => /(^|\/)mini-k8s(-linux-(amd64|arm64))?$/.test(word));
    if (index === -1 || !prefix.test(words.slice(0, index).join(' '))) return [];
    const args = words.slice(index + 1);
    return [{ args, path: pathOf(args) }];
  });
}

/** What mini-k8s says to a command line that it does not understand; undefined when it would run. Nothing is run. */
export async function usageError(args: readonly string[]): Promise<string | undefined> {
  const context = fakeContext();
  const exitCode = await run(args, context, inert(commands));
  return exitCode === 0 ? undefined : context.stderr.text();
}

/** As `usageError`, for words in running text: arguments may be missing, names and options may not be wrong. */
export function spanError(text: string): string | undefined {
  const words = text.split(/\s+/).slice(1);
  const path = pathOf(words);
  const specs = specsAlong(path);
  const last = specs.at(-1);
  const next = words[path.length];
  if (last === undefined && next !== undefined && !next.startsWith('-')) {
    return `there is no command ${next}`;
  }
  if (last?.passesThrough === true) return undefined;
  const isWord = next !== undefined && /^[a-z]/.test(next);
  if (isWord && last?.run === undefined) return `${path.join(' ')} has no command ${next}`;
  const known = (last?.options ?? []).flatMap(({ flags }) => flags.match(/--?[a-z][a-z-]*/g) ?? []);
  const given = words.flatMap((word) => /^--?[a-z][a-z-]*/.exec(word)?.[0] ?? []);
  const wrong = given.find((flag) => ![...known, '--help', '--version'].includes(flag));
  return wrong === undefined ? undefined : `${path.join(' ')} has no option ${wrong}`;
}

/** As many of the words as are names of commands, each within the one before. */
function pathOf(words: readonly string[]): string[] {
  const count = specsAlong(words).length;
  return words.slice(0, count);
}

function specsAlong(words: readonly string[]): CommandSpec[] {
  const specs: CommandSpec[] = [];
  let level: readonly CommandSpec[] = commands;
  for (const word of words) {
    const found = level.find(({ usage }) => usage.split(' ')[0] === word);
    if (found === undefined) break;
    specs.push(found);
    level = found.commands ?? [];
  }
  return specs;
}

function inert(table: readonly CommandSpec[]): CommandSpec[] {
  return table.map((spec) => ({
    ...spec,
    ...(spec.commands === undefined ? {} : { commands: inert(spec.commands) }),
    ...(spec.run === undefined ? {} : { run: async () => 0 }),
  }));
}
