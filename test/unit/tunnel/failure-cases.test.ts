import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/** `3`, `3b`, … as the list of failure cases numbers them. */
const allCases = [...Array.from({ length: 24 }, (_, i) => `${i + 1}`), '3b'];
/** Too long for a test: a script of its own. */
const scripted = ['22'];

// Like the floor plan's test, this one reads files: its subject is the tests.
const table = parseTable(readFileSync(path.join(ROOT, 'test/README.md'), 'utf8'));
const tests = readTests();

describe('the table of failure cases', () => {
  it('has a row for each', () => {
    expect([...table.keys()].toSorted()).toEqual(allCases.toSorted());
  });

  it.each(allCases.filter((number) => !scripted.includes(number)))(
    'leads to tests of case %s, and to all of them',
    (number) => {
      const withNumber = [...tests].filter(([, text]) => casesOf(text).has(number));
      const named = filesIn(table.get(number) ?? '').filter((file) => file.endsWith('.test.ts'));
      expect(named.toSorted()).toEqual(withNumber.map(([file]) => file).toSorted());
      expect(named).not.toEqual([]);
    },
  );

  it('names scripts that are there', () => {
    for (const row of table.values()) {
      for (const file of filesIn(row).filter((name) => name.startsWith('scripts/'))) {
        expect(readFileSync(path.join(ROOT, file), 'utf8')).toMatch(/^#!/);
      }
    }
    expect(filesIn(table.get('22') ?? '')).toEqual(['scripts/soak-tunnel']);
  });

  it('finds numbers in names of tests and of groups, and nowhere else', () => {
    const names = (...texts: string[]) => [...casesOf(texts.join('\n'))];
    expect(names("it('case 9: aborts', ...)", "describe('case 12: the socket', ...)")).toEqual([
      '9',
      '12',
    ]);
    expect(names("])('case 10: %s refuses', ...)", 'it("case 3b: carries", ...)')).toEqual([
      '10',
      '3b',
    ]);
    expect(names('// case 7: a comment', "it('answers in case 7')")).toEqual([]);
  });
});

function casesOf(source: string): Set<string> {
  const names = source.matchAll(/\(\s*['"`]case (\d+b?): /g);
  return new Set([...names].flatMap(([, number]) => number ?? []));
}

/** Number → the row's last cell. */
function parseTable(markdown: string): Map<string, string> {
  const rows = markdown.matchAll(/^\| (\d+b?) +\| [^|]+ \| ([^|]+) \|$/gm);
  return new Map([...rows].map(([, number = '', cell = '']) => [number, cell]));
}

/** Everything in backquotes; tests below `test/`. */
function filesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, file]) => file ?? []);
}

/** Integration tests of the tunnel, and of those who keep its promises, by their path below `test/`. */
function readTests(): Map<string, string> {
  const directory = path.join(ROOT, 'test');
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => /^integration\/.*\.test\.ts$/.test(name));
  return new Map(files.map((name) => [name, readFileSync(path.join(directory, name), 'utf8')]));
}
