import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ArtifactStore } from '../../../src/artifacts/store.ts';
import type { Architecture } from '../../../src/artifacts/types.ts';
import { fillSecrets } from '../../../src/base/files.ts';
import { registriesDir, registryFiles } from '../../../src/components/containerd-registries.ts';
import type { RegistrySpec } from '../../../src/config/types.ts';
import { emptyStore, temporaryFolder } from './bundle-fixture.ts';
import { type RunningContainerd, startContainerd } from './containerd-fixture.ts';
import { addImage } from './one-image.ts';
import {
  createRegistryAuthority,
  type RegistryAuthority,
  type RunningRegistry,
  startRegistry,
} from './registry-fixture.ts';

const arch: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const host = 'registry.example.test';
const reference = `${host}/deep/one:v1`;
const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
const nothing: RegistrySpec = { url: '', ca: '', credentialsFile: '', mirrors: [] };

let folder = '';
let store: ArtifactStore;
let authority: RegistryAuthority;
let containerd: RunningContainerd;

beforeEach(async () => {
  folder = await temporaryFolder();
  authority = createRegistryAuthority();
  store = await emptyStore(folder);
  await addImage(store, folder, { reference, arch });
  containerd = await startContainerd(folder);
});

afterEach(async () => {
  await containerd.stop();
});

test('the registry itself, elsewhere, with its own CA and credentials', async () => {
  const registry = await startWith(asksForPassword);
  const url = `https://${registry.address}`;
  await configure({ [host]: { ...nothing, url, ca: authority.ca, credentialsFile: '/x' } });
  await pull();
});

test('a mirror with credentials, when the registry is out of reach', async () => {
  const registry = await startWith(asksForPassword);
  const url = `https://${registry.address}`;
  const mirrors = [{ url, ca: authority.ca, credentialsFile: '/x' }];
  await configure({ [host]: { ...nothing, mirrors } });
  await pull();
});

test('a registry that gives out tokens for them', async () => {
  const registry = await startWith(asksForToken);
  const url = `https://${registry.address}`;
  await configure({ [host]: { ...nothing, url, ca: authority.ca, credentialsFile: '/x' } });
  await pull();
  expect(registry.requests).toContainEqual(expect.stringMatching(/^GET \/token\?/));
});

test('wrong credentials are refused by the registry, and not in the words of a pull', async () => {
  const registry = await startWith(asksForPassword);
  const url = `https://${registry.address}`;
  await configure(
    { [host]: { ...nothing, url, ca: authority.ca, credentialsFile: '/x' } },
    `Basic ${Buffer.from('me:wrong').toString('base64')}`,
  );
  const failure = await pull().then(
    () => 'pulled',
    (error: unknown) => String(error),
  );
  expect(failure).toMatch(/401|authorization failed/);
  expect(failure).not.toContain('wrong');
});

type Guard = (request: IncomingMessage, response: ServerResponse, address: string) => boolean;

/** Answers whoever does not show the password; true when it has. */
const asksForPassword: Guard = (request, response) => {
  if (request.headers.authorization === basic) return false;
  response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
  return true;
};

/** As the big public registries do: the password is for the one that gives out tokens. */
const asksForToken: Guard = (request, response, address) => {
  if (request.url?.startsWith('/token') === true) {
    const isKnown = request.headers.authorization === basic;
    response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isKnown ? { token: 'given', expires_in: 300 } : {}));
    return true;
  }
  if (request.headers.authorization === 'Bearer given') return false;
  const challenge = `Bearer realm="https://${address}/token",service="test",scope="repository:deep/one:pull"`;
  response.writeHead(401, { 'www-authenticate': challenge }).end();
  return true;
};

async function startWith(guard: Guard): Promise<RunningRegistry> {
  const registry: RunningRegistry = await startRegistry({
    store,
    authority,
    authorize: () => true,
    intercept: (request, response) => guard(request, response, registry.address),
  });
  return registry;
}

/** What the plan writes, in a directory of this test, with the credentials filled in. */
async function configure(
  registries: Readonly<Record<string, RegistrySpec>>,
  authorization = basic,
): Promise<void> {
  const here = (text: string) => text.replaceAll(registriesDir, path.join(folder, 'registries'));
  const gateways = { servers: [], caFile: '', client: { certFile: '' }, arch: 'amd64' } as const;
  for (const file of registryFiles({ registries, gateways }).files) {
    await mkdir(path.dirname(here(file.path)), { recursive: true });
    const content = fillSecrets(here(file.content), () => authorization);
    await writeFile(here(file.path), content, { mode: file.mode });
  }
}

async function pull(): Promise<void> {
  await containerd.crictl('pull', reference);
}
