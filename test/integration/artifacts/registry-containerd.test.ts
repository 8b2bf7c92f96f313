import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageReference } from '../../../src/artifacts/catalog.ts';
import { type ArtifactStore, findImage } from '../../../src/artifacts/store.ts';
import type { Architecture } from '../../../src/artifacts/types.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import {
  type GatewayMirrors,
  registryFiles,
} from '../../../src/components/containerd-registries.ts';
import { componentBinary } from '../../support/components.ts';
import { emptyStore, temporaryFolder } from './bundle-fixture.ts';
import { type RunningContainerd, startContainerd } from './containerd-fixture.ts';
import { addImage, takeBundle } from './one-image.ts';
import {
  createRegistryAuthority,
  cutAfter,
  type RegistryAuthority,
  type RegistryOptions,
  type RunningRegistry,
  startRegistry,
} from './registry-fixture.ts';

const run = promisify(execFile);
const arch: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const otherArch: Architecture = arch === 'arm64' ? 'amd64' : 'arm64';
const reference = 'registry.example.test/deep/one:v1';

let folder = '';
let store: ArtifactStore;
let authority: RegistryAuthority;
let containerd: RunningContainerd;

beforeEach(async () => {
  folder = await temporaryFolder();
  authority = createRegistryAuthority();
  await writeFile(path.join(folder, 'ca.crt'), authority.ca);
  // As kubelet writes it: certificate and key in one file.
  const { cert, key } = authority.client;
  await writeFile(path.join(folder, 'client.pem'), `${cert}${key}`);
  store = await emptyStore(folder);
  containerd = await startContainerd(folder);
});

afterEach(async () => {
  await containerd.stop();
});

test('the images of the bundle are pulled by kubelet’s way with no registry in reach', async () => {
  const bundle = path.resolve(path.dirname(componentBinary('ctr')), '../bundle');
  await takeBundle(store, bundle, await indexSha256(bundle));
  const registry = await start();
  await mirror([registry.address]);
  for (const name of ['pause', 'coredns', 'kube-router', 'metrics-server'] as const) {
    await containerd.crictl('pull', imageReference(name));
    const image = await findImage(store, imageReference(name), arch);
    expect(await ctr('images', 'ls')).toMatch(
      new RegExp(`${imageReference(name)} .*${image?.entry.digest}`),
    );
  }
  expect(registry.requests).toContainEqual(expect.stringMatching(/\?ns=registry\.k8s\.io/));
  expect(registry.requests).toContainEqual(expect.stringMatching(/\?ns=docker\.io/));
});

test('certificate and key may be in files of their own, as on a controller', async () => {
  await addImage(store, folder, { reference, arch });
  const { cert, key } = authority.client;
  const pair = { certFile: path.join(folder, 'client.crt'), keyFile: path.join(folder, 'own.key') };
  await Promise.all([writeFile(pair.certFile, cert), writeFile(pair.keyFile, key)]);
  const registry = await start();
  await mirror([registry.address], pair);
  await containerd.crictl('pull', reference);
  expect(await ctr('images', 'ls', '-q')).toContain(reference);
});

test('ctr pulls through the same file', async () => {
  await addImage(store, folder, { reference, arch });
  const registry = await start();
  await mirror([registry.address]);
  await ctr('images', 'pull', '--hosts-dir', path.join(folder, 'registries'), reference);
  expect(await ctr('images', 'ls', '-q')).toContain(reference);
});

test('a gateway that is gone costs nothing but a try', async () => {
  await addImage(store, folder, { reference, arch });
  const gone = await start();
  await gone.close();
  const registry = await start();
  await mirror([gone.address, registry.address]);
  await containerd.crictl('pull', reference);
  expect(await ctr('images', 'ls', '-q')).toContain(reference);
});

test('a layer that is cut is finished from where it ended', async () => {
  await addImage(store, folder, { reference, arch, content: randomBytes(3_000_000) });
  const layer = (await findImage(store, reference, arch))?.blobs.at(-1)?.digest ?? 'none';
  let cuts = 1;
  const registry = await start({
    intercept: (request, response) => {
      if (request.url?.includes(`/blobs/${layer}`) === true && cuts > 0) {
        cuts -= 1;
        cutAfter(response, 1_000_000);
      }
      return false;
    },
  });
  await mirror([registry.address]);
  await containerd.crictl('pull', reference);
  expect(registry.requests).toContainEqual(
    expect.stringMatching(new RegExp(`/blobs/${layer}.* bytes=1000000-`)),
  );
});

test('of an image for two architectures containerd takes its own', async () => {
  await addImage(store, folder, { reference, arch });
  await addImage(store, folder, { reference, arch: otherArch });
  const registry = await start();
  await mirror([registry.address]);
  await containerd.crictl('pull', reference);
  const mine = (await findImage(store, reference, arch))?.entry.digest;
  const other = (await findImage(store, reference, otherArch))?.entry.digest;
  expect(registry.requests.join('\n')).toContain(`/manifests/${mine}`);
  expect(registry.requests.join('\n')).not.toContain(`/manifests/${other}`);
});

test('an image that the controller has for another architecture only is asked for at its registry', async () => {
  await addImage(store, folder, { reference, arch: otherArch });
  const registry = await start();
  await mirror([registry.address]);
  const failure = await containerd.crictl('pull', reference).catch(errorMessage);
  expect(failure).toMatch(/lookup registry\.example\.test|registry\.example\.test\/v2|not found/);
  expect(failure).not.toContain('no match for platform');
  expect(registry.requests.length).toBeGreaterThan(0);
});

test('without a certificate of the cluster there is nothing', async () => {
  await addImage(store, folder, { reference, arch });
  const { cert, key } = createRegistryAuthority().client;
  await writeFile(path.join(folder, 'client.pem'), `${cert}${key}`);
  const registry = await start();
  await mirror([registry.address]);
  await expect(containerd.crictl('pull', reference)).rejects.toThrow(
    /127\.0\.0\.1:\d+\/v2\/deep\/one\/manifests\/v1\S*: 401 Unauthorized/,
  );
  expect(registry.requests.every((line) => line.startsWith('HEAD '))).toBe(true);
  expect(await ctr('images', 'ls', '-q')).not.toContain(reference);
});

test('the gateway’s certificate must bear the host that is dialled: containerd knows no other name', async () => {
  await addImage(store, folder, { reference, arch });
  const registry = await start();
  await mirror([`localhost:${registry.port}`]);
  await expect(containerd.crictl('pull', reference)).rejects.toThrow(
    'certificate is valid for gateway.mini-k8s.internal, not localhost',
  );
  expect(registry.requests).toEqual([]);
});

async function start(options: Partial<RegistryOptions> = {}): Promise<RunningRegistry> {
  return await startRegistry({ store, authority, ...options });
}

/** What the plan writes, in a directory of this test. */
async function mirror(
  servers: readonly string[],
  client: GatewayMirrors['client'] = { certFile: path.join(folder, 'client.pem') },
): Promise<void> {
  const gateways = { servers, caFile: path.join(folder, 'ca.crt'), client, arch };
  const [file] = registryFiles({ registries: {}, gateways }).files;
  const directory = path.join(folder, 'registries', '_default');
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'hosts.toml'), file?.content ?? '');
}

async function indexSha256(bundle: string): Promise<string> {
  const { stdout } = await run('sha256sum', [path.join(bundle, 'index.json')]);
  return stdout.slice(0, 64);
}

async function ctr(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(containerd.ctr, ['-a', containerd.socket, '-n', 'k8s.io', ...args]);
  return stdout;
}
