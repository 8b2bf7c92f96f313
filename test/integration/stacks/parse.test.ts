import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parseManifest } from '../../../src/stacks/parse.ts';
import { componentBinary } from '../../support/components.ts';

const values = [
  ...['y', 'yes', 'No', 'on', 'OFF', 'true', '~', 'null', '""', "'0644'", '"yes"'],
  ...['0644', '0o17', '0x1F', '0b11', '1_000', '.5', '1e3', '-7', '+7', '22:30', '1:2:3'],
  ...[
    '2026-01-31',
    '2026-01-31T10:00:00Z',
    '1.10',
    '!!binary aGVsbG8=',
    '!!str 12',
    '[a, b]',
    '{k: v}',
  ],
];

const text = `apiVersion: test.example/v1
kind: Widget
metadata: {name: a}
y: 2
12: 3
0644: 4
anchor: &anchor {k: v}
merged: {<<: *anchor, l: w}
folded: >-
  one
  two
literal: |+
  one

values:
${values.map((value, index) => `  v${index}: ${value}`).join('\n')}
`;

it('parseManifest reads a manifest exactly as kubectl does', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-parse-'));
  try {
    const file = path.join(directory, 'widget.yaml');
    await writeFile(file, text);
    const flags = ['patch', '--local', '-f', file, '--type=merge', '-p', '{}', '-o', 'json'];
    const { stdout } = await promisify(execFile)(componentBinary('kubectl'), flags);
    const [object] = await parseManifest({ file: 'widget.yaml', text });
    expect(JSON.parse(JSON.stringify(object))).toEqual(JSON.parse(stdout));
  } finally {
    await rm(directory, { recursive: true });
  }
});
