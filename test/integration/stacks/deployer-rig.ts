import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import type { DeployerTiming } from '../../../src/stacks/timing.ts';
import type { ManifestStack } from '../../../src/stacks/types.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { configMaps } from '../../support/core-objects.ts';
import { type RunningDeployer, runDeployer, shortTiming } from '../../support/deployer.ts';

/** A control plane for the tests of one file; each begins with an empty cluster and an empty manifests directory. */
export function deployerRig() {
  let plane: TestControlPlane;
  let client: KubeClient;
  let manifestsDir: string;
  const started: RunningDeployer[] = [];
  beforeAll(async () => {
    plane = await startControlPlane();
    client = plane.connect();
  });
  afterAll(() => plane?.stop());
  beforeEach(async () => {
    manifestsDir = path.join(await mkdtemp(path.join(plane.directory, 'm-')), 'manifests');
    await mkdir(manifestsDir);
  });
  afterEach(async () => {
    for (const deployer of started.splice(0)) await deployer.stop();
    // What a deployer without stacks removes by itself.
    await rm(manifestsDir, { recursive: true, force: true });
    await mkdir(manifestsDir);
    const cleaner = runDeployer({ client, manifestsDir });
    await waitFor(async () => (await inventories()).length === 0, {
      subject: 'inventories to go',
      timeoutMs: 60_000,
    });
    await cleaner.stop();
  });
  const inventories = async () =>
    (await client.list(configMaps, { labelSelector: 'mini-k8s.io/stack-inventory' })).items;
  return {
    get plane() {
      return plane;
    },
    get client() {
      return client;
    },
    get manifestsDir() {
      return manifestsDir;
    },
    /** A path in the manifests directory. */
    file: (name: string) => path.join(manifestsDir, name),
    /** A deployer that ends with the test. */
    start: (packaged: readonly ManifestStack[] = [], timing: Partial<DeployerTiming> = {}) => {
      const deployer = runDeployer({
        ...{ client, manifestsDir, packaged },
        timing: { ...shortTiming, ...timing },
      });
      started.push(deployer);
      return deployer;
    },
    inventories,
  };
}

export function dataOf(object: KubeObject | undefined): Record<string, string> {
  return (object?.['data'] ?? {}) as Record<string, string>;
}
