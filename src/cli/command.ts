import path from 'node:path';
import type { CliContext } from './streams.ts';

/** A command as data: what the help says, and what runs. */
export interface CommandSpec {
  /** Name and arguments: `status`, `kubectl [args...]`. */
  readonly usage: string;
  readonly description: string;
  readonly options?: readonly OptionSpec[];
  /** Sentences behind the options, such as what the exit status means. */
  readonly details?: readonly string[];
  readonly examples?: readonly string[];
  readonly commands?: readonly CommandSpec[];
  /** Everything behind the name belongs to another program. */
  readonly passesThrough?: boolean;
  /** Returns the exit code; throws UserError. Imports what it needs when it runs. */
  readonly run?: (invocation: Invocation) => Promise<number>;
}

export interface OptionSpec {
  /** Commander's form: `-o, --output <format>`. */
  readonly flags: string;
  readonly description: string;
}

export interface Invocation {
  readonly context: CliContext;
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly args: readonly string[];
}

/** A text option, undefined when it was not given. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  return typeof value === 'string' ? value : undefined;
}

/** The values of an option that may be given several times (`<value...>`), each of which may be several. */
export function listOption(invocation: Invocation, name: string): string[] {
  const value: unknown = invocation.options[name];
  const values = Array.isArray(value) ? value.map(String) : [];
  return values.flatMap((text) => text.split(',')).filter((text) => text !== '');
}

/**
 * `--data-dir` as an absolute path: it is handed to programs with other working directories.
 * An empty one stays empty, for the message about it.
 */
export function dataDirOption(invocation: Invocation): { readonly dataDir?: string } {
  const value = textOption(invocation, 'dataDir');
  if (value === undefined) return {};
  return { dataDir: value === '' ? '' : path.resolve(value) };
}

/** Options that every command about this node takes. */
export const nodeOptions: readonly OptionSpec[] = [
  { flags: '--data-dir <dir>', description: 'data directory (default: /var/lib/mini-k8s)' },
];
