import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommandSpec } from '../../../src/cli/command.ts';
import { commands } from '../../../src/cli/commands/index.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { callsIn, spanError, usageError } from '../../support/docs/command-usage.ts';
import type { MarkdownBlock } from '../../support/docs/markdown-blocks.ts';
import {
  allBlocks,
  allSpans,
  commandLanguages,
  places,
  ROOT,
  readPages,
} from '../../support/docs/pages.ts';

// Like the floor plan's test, this one reads files: its subject is the pages.
const blocks = allBlocks();
const scripts = blocks.filter(({ language }) => commandLanguages.includes(language));
const placeOf = ({ file, line }: MarkdownBlock) => `${file}:${line}`;
const named = (some: readonly MarkdownBlock[]) =>
  some.map((block): [string, MarkdownBlock] => [placeOf(block), block]);

describe('a block in a page', () => {
  it('says its language', () => {
    expect(blocks.filter(({ language }) => language === '').map(placeOf)).toEqual([]);
  });

  it.each(named(scripts))('%s says where its commands are run', (_place, block) => {
    const [tag, ...others] = [...block.tags.keys()];
    expect(others).toEqual([]);
    expect(['on', 'tested-by', 'by-hand', 'parsed']).toContain(tag);
    if (tag === 'on') expect(Object.keys(places)).toContain(block.tags.get('on'));
    // Only examples of --help, which docs/cli.md repeats, are not run: they name machines that no test has.
    if (tag === 'parsed') expect(block.file).toBe('docs/cli.md');
  });

  it.each(named(scripts))(
    '%s has command lines that mini-k8s understands',
    async (_place, block) => {
      for (const { args } of callsIn(block.text)) {
        expect(await usageError(args), args.join(' ')).toBeUndefined();
      }
    },
  );

  const elsewhere = scripts.filter(({ tags }) => tags.has('tested-by'));
  it.each(named(elsewhere))('%s has commands that the test it names runs', (_place, block) => {
    const text = readTest(block.tags.get('tested-by') ?? '');
    const calls = callsIn(block.text);
    expect(calls).not.toEqual([]);
    for (const call of calls) {
      const words = call.path.map((word) => `['"]${word}['"]`).join(',\\s*');
      expect(text, call.path.join(' ')).toMatch(new RegExp(words));
      const flags = call.args.filter((word) => word.startsWith('--'));
      expect(flags.filter((flag) => !new RegExp(`['"]${flag}['"]`).test(text))).toEqual([]);
    }
  });

  const byHand = scripts.filter(({ tags }) => tags.has('by-hand'));
  it.each(named(byHand))('%s has scripts and options that are there', (_place, block) => {
    const usage = readScripts();
    expect(callsIn(block.text)).toEqual([]);
    for (const [script] of block.text.matchAll(/(?<=^|\s)(\.\/)?scripts\/[\w./-]+/gm)) {
      expect(existsSync(path.join(ROOT, script)), script).toBe(true);
    }
    for (const [flag] of block.text.matchAll(/(?<=\s)--[a-z-]+/g)) expect(usage).toContain(flag);
  });

  const yaml = blocks.filter(
    ({ language, text }) => language === 'yaml' && text.includes('kind: ClusterConfig'),
  );
  it.each(named(yaml))('%s is a configuration that is valid', async (place, block) => {
    await expect(parseConfig(block.text, place)).resolves.toBeDefined();
  });
});

describe('a page', () => {
  it.each([...readPages().keys()])('%s has links that lead somewhere', (file) => {
    const text = readPages().get(file) ?? '';
    const links = [...text.matchAll(/\]\(([^)#\s]+)(#[^)\s]*)?\)/g)].map(
      ([, target = '']) => target,
    );
    const local = links.filter((target) => !/^[a-z]+:/.test(target));
    const missing = local.filter(
      (target) => !existsSync(path.resolve(ROOT, path.dirname(file), target)),
    );
    expect(missing).toEqual([]);
  });

  it('names no command or option in its text that there is not', () => {
    const spans = allSpans().filter(({ text }) => text.startsWith('mini-k8s '));
    expect(spans.length).toBeGreaterThan(20);
    const wrong = spans.flatMap(({ file, line, text }) => {
      const error = spanError(text);
      return error === undefined ? [] : [`${file}:${line}: ${text}: ${error}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('an example of --help', () => {
  const examples = examplesOf(commands);

  it.each(examples)('%s is understood', async (example) => {
    const calls = callsIn(example);
    if (!example.startsWith('curl ')) expect(calls).not.toEqual([]);
    for (const { args } of calls) expect(await usageError(args), example).toBeUndefined();
  });
});

function examplesOf(table: readonly CommandSpec[]): string[] {
  return table.flatMap((spec) => [...(spec.examples ?? []), ...examplesOf(spec.commands ?? [])]);
}

/** A test with its suites, and what tests of the e2e floor share. */
function readTest(file: string): string {
  const shared = file.startsWith('test/e2e/') ? ['test/support/e2e'] : [];
  const files = [file.replace(/\.test\.ts$/, ''), ...shared]
    .map((directory) => path.join(ROOT, directory))
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).map((name) => path.join(directory, name)));
  return [path.join(ROOT, file), ...files].map((name) => readFileSync(name, 'utf8')).join('\n');
}

function readScripts(): string {
  return ['scripts', 'test/bench']
    .flatMap((directory) =>
      readdirSync(path.join(ROOT, directory), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name)),
    )
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
}
