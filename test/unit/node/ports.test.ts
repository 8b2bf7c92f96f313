import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { portUses } from '../../../src/node/machine.ts';

async function portsOf(spec: string, runsWorkloads = true): Promise<number[]> {
  return portUses(await parseConfig(spec, 'test'), runsWorkloads).map(({ port }) => port);
}

test('a controller has the ports of what runs, and of nothing else', async () => {
  const all = await portsOf('');
  expect(all).toEqual(expect.arrayContaining([6443, 9443, 2379, 2380, 10250, 10256]));
  const noProxy = await portsOf('spec: {network: {kubeProxy: {enabled: false}}}');
  expect(all.filter((port) => !noProxy.includes(port)).toSorted((a, b) => a - b)).toEqual([
    10249, 10256,
  ]);
  expect(await portsOf('', false)).not.toContain(10250);
});
