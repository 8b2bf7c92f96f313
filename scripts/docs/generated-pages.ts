import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { renderCliReference } from './cli-reference.ts';
import { renderConfigurationReference } from './configuration-reference.ts';

/** A page with parts that are made from the source. */
export interface GeneratedPage {
  /** Path in the repository. */
  readonly file: string;
  readonly before: string;
  readonly after: string;
}

interface Part {
  readonly file: string;
  /** As the marks in the page have it. */
  readonly name: string;
  readonly render: () => Promise<string>;
}

const parts: readonly Part[] = [
  { file: 'docs/cli.md', name: 'commands', render: cliReference },
  { file: 'docs/troubleshooting.md', name: 'probes', render: doctorTexts },
  { file: 'docs/configuration.md', name: 'fields', render: configurationReference },
];

/**
 * The pages as they are and as they should be. Nothing is written.
 * @throws Error for a page that lacks the marks of a part.
 */
export async function generatePages(root: string): Promise<GeneratedPage[]> {
  const pages: GeneratedPage[] = [];
  for (const [file, own] of Map.groupBy(parts, (part) => part.file)) {
    const before = await readFile(path.join(root, file), 'utf8');
    let after = before;
    for (const { name, render } of own) {
      after = replacePart(after, { file, name, text: await render() });
    }
    pages.push({ file, before, after });
  }
  return pages;
}

/** Puts a text between the marks of a part. @throws Error when they are not there, each once. */
export function replacePart(
  page: string,
  part: { readonly file: string; readonly name: string; readonly text: string },
): string {
  const begin = `<!-- begin ${part.name}: made by scripts/update-docs -->`;
  const end = `<!-- end ${part.name} -->`;
  const [head, rest, ...more] = page.split(begin);
  const [, tail, ...others] = (rest ?? '').split(end);
  if (head === undefined || tail === undefined || more.length + others.length > 0) {
    throw new Error(`${part.file} must have "${begin}" and "${end}" once each, in this order`);
  }
  return `${head}${begin}\n\n${part.text.trim()}\n\n${end}${tail}`;
}

async function cliReference(): Promise<string> {
  const { commands } = await import('../../src/cli/commands/index.ts');
  return renderCliReference(commands);
}

async function configurationReference(): Promise<string> {
  const [{ z }, { clusterConfigSchema }] = await Promise.all([
    import('zod'),
    import('../../src/config/schema.ts'),
  ]);
  return renderConfigurationReference(z.toJSONSchema(clusterConfigSchema, { io: 'input' }));
}

async function doctorTexts(): Promise<string> {
  const [{ renderDoctorTexts }, { probes }, { defaultConfig }] = await Promise.all([
    import('./doctor-texts.ts'),
    import('../../src/doctor/probes.ts'),
    import('../../src/config/parse.ts'),
  ]);
  const names = probes.map(({ name }) => name);
  return renderDoctorTexts(names, await defaultConfig());
}
