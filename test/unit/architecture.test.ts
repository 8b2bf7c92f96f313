import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { findViolations, ROOMS, readImports } from '../support/architecture.ts';

const SOURCE = path.resolve(import.meta.dirname, '../../src');

// The one unit test that reads files: its subject is the source itself.
function readSource(): Map<string, string> {
  const names = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.ts'));
  return new Map(files.map((name) => [name, readFileSync(path.join(SOURCE, name), 'utf8')]));
}

function violationsOf(file: string, source: string): string[] {
  return findViolations(new Map([[file, source]]));
}

describe('the source', () => {
  test('keeps to the floor plan', () => {
    const files = readSource();
    expect(files.size).toBeGreaterThan(10);
    expect(findViolations(files)).toEqual([]);
  });
});

test('what a node loads to start has nothing of the doctor but its list and the disk', () => {
  const files = readSource();
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    // What is imported later is loaded later.
    const source = (files.get(file) ?? '').replaceAll('import(', 'later(');
    for (const { specifier, isTypeOnly } of readImports(source)) {
      if (isTypeOnly || !specifier.startsWith('.')) continue;
      load(path.posix.join(path.posix.dirname(file), specifier));
    }
  };
  for (const file of ['node/start.ts', 'node/start-worker.ts']) load(file);
  expect(loaded.size).toBeGreaterThan(50);
  expect([...loaded].filter((file) => file.startsWith('doctor/')).toSorted()).toEqual([
    'doctor/data-directory.ts',
    'doctor/probes.ts',
  ]);
});

describe('the table', () => {
  test('names no room that it does not describe', () => {
    const named = Object.values(ROOMS).flatMap((room) => [...room.imports, ...(room.types ?? [])]);
    expect([...new Set(named)].filter((name) => ROOMS[name] === undefined)).toEqual([]);
  });
});

describe('findViolations', () => {
  test.each([
    ['base/x.ts', "import { a } from '../config/a.ts';"],
    ['pki/x.ts', "import { a } from '../artifacts/a.ts';"],
    ['supervisor/x.ts', "import type { A } from '../config/types.ts';"],
    ['stacks/x.ts', "import { a } from '../pki/a.ts';"],
    ['components/x.ts', "import { ensure } from '../artifacts/store.ts';"],
    ['components/x.ts', "import { readFile } from 'node:fs/promises';"],
    ['components/x.ts', "const { readFile } = await import('node:fs');"],
    ['addons/x.ts', "import https from 'node:https';"],
    ['config/x.ts', "import { hostname } from 'node:os';"],
    ['node/x.ts', "import { a } from '../cli/a.ts';"],
    ['cli/x.ts', "import { a } from '../supervisor/a.ts';"],
    ['cli/x.ts', "const { a } = await import('../stacks/a.ts');"],
    ['cli/x.ts', "export { a } from '../components/a.ts';"],
    ['main.ts', "import { a } from './node/a.ts';"],
    ['utils/x.ts', "import { a } from '../base/a.ts';"],
    ['node/index.ts', 'export const a = 1;'],
    ['node/x.ts', "export * from './y.ts';"],
    ['node/start.ts', "if (options.role === 'worker') stop();"],
    ['cli/start.ts', 'switch (role) {}'],
    ['tunnel/x.ts', "import {\n  a,\n  b,\n} from '../supervisor/a.ts';"],
  ])('%s may not contain %j', (file, source) => {
    expect(violationsOf(file, source)).toHaveLength(1);
  });

  test.each([
    ['base/x.ts', "import path from 'node:path';\nimport pino from 'pino';"],
    ['tunnel/x.ts', "import type { Component } from '../supervisor/types.ts';"],
    ['components/x.ts', "import type { ProcessSpec } from '../supervisor/types.ts';"],
    ['components/x.ts', "import { executableArtifact } from '../artifacts/catalog.ts';"],
    ['addons/x.ts', "import { renderKubeconfig } from '../pki/kubeconfig.ts';"],
    ['artifacts/x.ts', "import pins from '../../assets/artifacts.json' with { type: 'json' };"],
    ['pki/x.ts', "// import { a } from '../node/a.ts';\n/* import('../cli/b.ts') */"],
    ['node/plan.ts', "if (role === 'worker') skip();"],
    ['components/index.ts', "export { etcd } from './etcd.ts';"],
    ['main.ts', "import { run } from './cli/run.ts';"],
    ['reconcilers/x.ts', "if (labels['node-role.kubernetes.io/control-plane'] === '') skip();"],
  ])('%s may contain %j', (file, source) => {
    expect(violationsOf(file, source)).toEqual([]);
  });

  test('finds a cycle between rooms', () => {
    const files = new Map([
      ['stacks/a.ts', "import { b } from '../kube-client/b.ts';"],
      ['kube-client/b.ts', "import type { C } from '../stacks/c.ts';"],
    ]);
    expect(findViolations(files)).toEqual([
      'kube-client/b.ts: kube-client may not import types of stacks/c.ts',
      'stacks: imports itself through other rooms',
      'kube-client: imports itself through other rooms',
    ]);
  });
});

describe('readImports', () => {
  test('tells types from values', () => {
    const source = [
      "import type { A } from './a.ts';",
      "import { type B } from './b.ts';",
      "import './c.ts';",
      "export type { D } from './d.ts';",
      "type E = typeof import('./e.ts');",
      "export const text = 'import { x } from nowhere';",
    ].join('\n');
    const seen = readImports(source).map(({ specifier, isTypeOnly }) => [specifier, isTypeOnly]);
    expect(seen).toEqual([
      ['./a.ts', true],
      ['./b.ts', false],
      ['./c.ts', false],
      ['./d.ts', true],
      ['./e.ts', true],
    ]);
  });
});
