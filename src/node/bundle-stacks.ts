import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BundledStack } from '../artifacts/bundle-manifests.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import { parseManifest } from '../stacks/parse.ts';
import { isStackName } from '../stacks/refs.ts';

/**
 * Reads what `--manifests` names: a directory is one stack, and so is a single file. Each file is parsed, since on the
 * node that imports the bundle nobody sits who could mend it.
 * @throws UserError for what is no stack, or holds no object.
 */
export async function readStacks(places: readonly string[]): Promise<readonly BundledStack[]> {
  const stacks: BundledStack[] = [];
  for (const place of places) {
    const stack = await readStack(path.resolve(place));
    if (stacks.some(({ name }) => name === stack.name)) {
      throw unusable(place, `there are two stacks with the name ${stack.name}`);
    }
    stacks.push(stack);
  }
  return stacks;
}

async function readStack(place: string): Promise<BundledStack> {
  const name = path.basename(place).replace(manifestExtension, '');
  if (!isStackName(name)) {
    throw unusable(place, `"${name}" is no name of a stack: at most 63 of a-z, 0-9 and "-"`);
  }
  const files: { readonly name: string; readonly content: Uint8Array }[] = [];
  for (const file of await listFiles(place)) {
    const content = await readFile(file);
    const manifest = { file, text: content.toString('utf8') };
    if ((await parseManifest(manifest)).length > 0) {
      files.push({ name: path.basename(file), content });
    }
  }
  if (files.length === 0) throw unusable(place, 'it has no Kubernetes object');
  return { name, files };
}

const manifestExtension = /\.(yaml|yml|json)$/;

async function listFiles(place: string): Promise<readonly string[]> {
  try {
    if ((await stat(place)).isFile()) return [place];
    const names = (await readdir(place)).filter((name) => manifestExtension.test(name));
    return names
      .filter((name) => !name.startsWith('.'))
      .toSorted()
      .map((name) => path.join(place, name));
  } catch (error) {
    throw unusable(place, errorMessage(error), error);
  }
}

function unusable(place: string, why: string, cause?: unknown): UserError {
  return new UserError({
    what: `put the manifests of ${place} into the bundle`,
    why,
    fix: 'give a directory with .yaml or .json files, named as the stack shall be',
    cause,
  });
}
