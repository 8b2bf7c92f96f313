import { access } from 'node:fs/promises';
import { type FileSpec, readTextIfExists } from '../base/files.ts';
import { diffLines } from './diff-lines.ts';
import { hasSameContent } from './replace-executable.ts';
import type { InstallPlan } from './types.ts';

/** One thing that an installation would do. */
export type InstallChange =
  | { readonly type: 'executable'; readonly path: string; readonly isNew: boolean }
  | { readonly type: 'file'; readonly file: FileSpec; readonly before: string | undefined };

/** What the plan says and the machine has not. Changes nothing. */
export async function comparePlan(plan: InstallPlan, source: string): Promise<InstallChange[]> {
  const files = await Promise.all(
    plan.files.map(async (file) => {
      const before = await readTextIfExists(file.path);
      return before === file.content ? [] : [{ type: 'file' as const, file, before }];
    }),
  );
  return [...(await compareExecutable(plan.executable, source)), ...files.flat()];
}

async function compareExecutable(path: string, source: string): Promise<InstallChange[]> {
  if (await hasSameContent(path, source)) return [];
  const isNew = await access(path).then(
    () => false,
    () => true,
  );
  return [{ type: 'executable', path, isNew }];
}

/** What a person reads about a change before it is made; the content of files for root's eyes is left out. */
export function describeChange(change: InstallChange): string[] {
  if (change.type === 'executable') {
    return [change.isNew ? `+ ${change.path}` : `~ ${change.path} (another build)`];
  }
  const { file, before } = change;
  if (before === undefined) return [`+ ${file.path}`];
  const lines = isSecret(file) ? [hiddenContent] : diffLines(before, file.content);
  return [`~ ${file.path}`, ...lines.map((line) => `    ${line}`)];
}

/** Every file whole, for `--dry-run`. */
export function describePlan(plan: InstallPlan): string {
  const files = plan.files.map((file) => {
    const mode = file.mode.toString(8).padStart(4, '0');
    return `--- ${file.path} (mode ${mode})\n${isSecret(file) ? `${hiddenContent}\n` : file.content}`;
  });
  const { executable, previousExecutable, user } = plan;
  return [
    `--- ${executable} (mode 0755)\na copy of this executable; one that is there is kept as ${previousExecutable}\n`,
    ...files,
    ...(user === undefined
      ? []
      : [`--- user ${user.name}\na system user without a shell, number ${user.id}\n`]),
  ].join('\n');
}

const hiddenContent = '(its content is for root only)';

function isSecret(file: FileSpec): boolean {
  return file.mode === 0o600;
}
