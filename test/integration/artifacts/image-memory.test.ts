import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { findImage } from '../../../src/artifacts/store.ts';
import type { RegistryRequest } from '../../fixtures/download-from-registry.ts';
import { bundleProgram } from '../../support/bundled-program.ts';
import { pushImage, startDockerRegistry } from '../../support/docker-registry.ts';
import { watchMemory } from '../../support/watch-memory.ts';
import { emptyStore, temporaryFolder } from './bundle-fixture.ts';

const layerBytes = 200 * 2 ** 20;

test('an image of 200 MiB streams from a registry through little memory', async () => {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  const registry = await startDockerRegistry({ folder });
  const layer = Buffer.alloc(layerBytes, randomBytes(2 ** 20));
  await pushImage(registry.base, { repository: 'team/large', tag: '1' }, [
    { arch: 'amd64', layer },
  ]);
  const reference = `${registry.host}/team/large:1`;
  const request: RegistryRequest = {
    ...{ host: registry.host, store: store.directory },
    artifacts: [{ kind: 'image', reference, arch: 'amd64' }],
  };
  const program = await bundleProgram(folder, 'download-from-registry');
  const child = spawn(process.execPath, [...V8_FLAGS, program, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [peakKb, said] = await Promise.all([watchMemory(child), text(child.stdout)]);
  const found = await findImage(store, reference, 'amd64');
  expect(found?.blobs.at(-1)?.size, said).toBe(layerBytes);
  expect(peakKb).toBeGreaterThan(10 * 1024);
  expect(peakKb).toBeLessThan(40 * 1024);
});
