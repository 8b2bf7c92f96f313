import { renderFlags } from '../base/flags.ts';
import type { ExtraArgs } from '../config/types.ts';
import type { ProcessSpec } from '../supervisor/types.ts';

/** A process with the user's flags in the place of ours of the same name, and behind the others. Pure. */
export function withExtraArgs(process: ProcessSpec, extra: ExtraArgs): ProcessSpec {
  const given = Object.entries(extra).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(String) : (value as string | number | boolean),
  ]);
  const flags = renderFlags(Object.fromEntries(given));
  if (flags.length === 0) return process;
  const isReplaced = (arg: string) => nameOf(arg) in extra;
  return { ...process, args: [...process.args.filter((arg) => !isReplaced(arg)), ...flags] };
}

function nameOf(arg: string): string {
  return /^--([^=]+)/.exec(arg)?.[1] ?? '';
}
