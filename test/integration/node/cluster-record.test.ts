import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { type Paths, pathsFor } from '../../../src/config/paths.ts';
import { rememberCluster, requireSameCluster } from '../../../src/node/cluster-record.ts';

let folder: string;
let paths: Paths;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-cluster-'));
  paths = pathsFor({ dataDir: path.join(folder, 'data') });
});
afterEach(() => rm(folder, { recursive: true }));

const node = async (network: object) => ({
  paths,
  config: await parseConfig(JSON.stringify({ spec: { network } }), 'test'),
});

it('a cluster starts with the networks that it was made with, and with no others', async () => {
  const made = await node({ podCIDR: '10.7.0.0/16' });
  await requireSameCluster(made);
  expect(await readdir(folder)).toEqual([]);
  await rememberCluster(made);
  await mkdir(`${paths.etcdDir}/member`, { recursive: true });
  await requireSameCluster(made);
  await requireSameCluster(await node({ podCIDR: '10.7.0.0/16', nodePortRange: '30000-31000' }));
  const other = await node({ podCIDR: '10.8.0.0/16', clusterDomain: 'x.y' });
  await expect(requireSameCluster(other)).rejects.toMatchObject({
    errors: [
      { what: 'change spec.network.podCIDR from 10.7.0.0/16 to 10.8.0.0/16' },
      { what: 'change spec.network.clusterDomain from cluster.local to x.y' },
    ],
  });
});

it('a start that came to nothing binds nobody', async () => {
  await rememberCluster(await node({ podCIDR: '10.7.0.0/16' }));
  await requireSameCluster(await node({ podCIDR: '10.8.0.0/16' }));
});
