import { expect, test } from 'vitest';
import { apiRedirectRules } from '../../../src/host/api-redirect.ts';
import { ensureNftTable, removeNftTable } from '../../../src/host/nft-table.ts';
import type { ToolRunner } from '../../../src/host/run-tool.ts';

const options = { serviceAddress: '10.96.0.1', servicePort: 443, apiPort: 6443 };

test('pods and the machine itself are led to the local API', () => {
  expect(apiRedirectRules({ ...options, podInterface: 'kube-bridge' })).toEqual({
    type: 'nft-table',
    name: 'mini_k8s_api',
    ruleset: `  chain prerouting {
    type nat hook prerouting priority -105; policy accept;
    iifname "kube-bridge" ip daddr 10.96.0.1 tcp dport 443 redirect to :6443
  }
  chain output {
    type nat hook output priority -105; policy accept;
    ip daddr 10.96.0.1 tcp dport 443 redirect to :6443
  }`,
  });
});

test('without a bridge of ours only the machine is', () => {
  expect(apiRedirectRules(options).ruleset).not.toContain('prerouting');
});

/** An `nft` that keeps tables as text. */
function createNft(refusal?: Error): { run: ToolRunner; scripts: string[] } {
  const scripts: string[] = [];
  const run: ToolRunner = async (_command, [verb], input = '') => {
    if (refusal !== undefined) throw refusal;
    if (verb === '-f') scripts.push(input);
    if (verb === 'delete') scripts.length = 0;
    const current = scripts.at(-1);
    if (verb === 'list' && current === undefined) throw new Error('no such table');
    return current ?? '';
  };
  return { run, scripts };
}

test('a table is replaced in one transaction, and that nothing changed is said', async () => {
  const { run, scripts } = createNft();
  const table = { name: 'mini_k8s_api', ruleset: '  chain a { }' };
  expect(await ensureNftTable(table, run)).toEqual({ type: 'changed' });
  expect(await ensureNftTable(table, run)).toEqual({ type: 'unchanged' });
  expect(await ensureNftTable({ ...table, ruleset: '' }, run)).toEqual({ type: 'changed' });
  expect(scripts[0]).toBe(
    'table ip mini_k8s_api\ndelete table ip mini_k8s_api\ntable ip mini_k8s_api {\n  chain a { }\n}\n',
  );
  expect(await removeNftTable(table.name, run)).toBe('nftables table ip mini_k8s_api');
  expect(await removeNftTable(table.name, run)).toBeUndefined();
});

test('a machine without nft is told what to install', async () => {
  const missing = Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' });
  const { run } = createNft(missing);
  expect(await ensureNftTable({ name: 'a', ruleset: '' }, run)).toEqual({
    type: 'skipped',
    reason: 'nft is not installed (apt-get install nftables)',
  });
});
