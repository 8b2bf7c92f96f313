import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { ports } from '../../../src/components/layout.ts';
import { defaultConfig } from '../../../src/config/parse.ts';
import { ROOT } from '../../support/docs/pages.ts';
import { planFor } from '../../support/plan-inputs.ts';

// Like the floor plan's test, this one reads files: its subject is the pages.
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const security = rowsOf(read('docs/security.md'));
const network = read('docs/network.md');

it('the page about security has a row for each key and certificate that a controller makes', async () => {
  const { pki } = await planFor();
  const { authorities, certificates, keyPairs, secrets } = pki;
  const names = [...authorities, ...certificates, ...keyPairs, ...secrets].map(({ name }) => name);
  expect(names.length).toBeGreaterThan(15);
  expect(names.filter((name) => !security.includes(`\`${name}\``))).toEqual([]);
});

it('the pages about ports have all of them', async () => {
  const { api, storage } = (await defaultConfig()).spec;
  const configured = [api.port, api.gatewayPort, ...Object.values(storage.etcd)];
  for (const port of [...configured, ...Object.values(ports)]) {
    expect(security, `port ${port}`).toMatch(new RegExp(`^\\| [^|]*\\b${port}\\b`, 'm'));
    expect(network, `port ${port}`).toMatch(new RegExp(`\\b${port}\\b`));
  }
});

/** The first cells of all tables. */
function rowsOf(markdown: string): string {
  return [...markdown.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = '']) => `| ${cell}`).join('\n');
}
