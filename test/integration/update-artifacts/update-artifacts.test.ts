import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { temporaryFolder } from '../artifacts/bundle-fixture.ts';

const run = promisify(execFile);
const script = path.resolve(import.meta.dirname, '../../../scripts/update-artifacts');
const origins = [
  ...['https://dl.k8s.io', 'https://github.com', 'https://registry.k8s.io'],
  ...['https://registry-1.docker.io', 'https://auth.docker.io'],
];

type Pins = typeof artifacts;

/** Checksum files and registries as the projects have them, for these pins. */
async function startProjects(pins: Pins): Promise<{ port: number; texts: Map<string, string> }> {
  const texts = new Map<string, string>();
  for (const { version, files } of Object.values(pins.components)) {
    for (const file of files) {
      for (const arch of ['amd64', 'arm64'] as const) {
        const fill = (text: string) =>
          new URL(text.replaceAll('{version}', version).replaceAll('{arch}', arch)).pathname;
        const address = fill(file.checksums);
        const line = `${file.sha256[arch]}  ${path.basename(fill(file.url))}\n`;
        const isAlone = address.startsWith('/v') && address.includes('/bin/linux/');
        texts.set(address, isAlone ? file.sha256[arch] : `${texts.get(address) ?? ''}${line}`);
      }
    }
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const text = texts.get(url.pathname);
    const isDocker = url.pathname.includes('/cloudnativelabs/');
    if (url.pathname === '/token') {
      response.end(JSON.stringify({ token: `for ${url.searchParams.get('scope')}` }));
    } else if (isDocker && request.headers.authorization !== 'Bearer for pull:it') {
      const realm = 'https://auth.docker.io/token';
      const challenge = `Bearer realm="${realm}",service="registry",scope="pull:it"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else if (text !== undefined) {
      response.end(text);
    } else if (url.pathname.startsWith('/v2/')) {
      response.end(`manifest ${url.pathname}`);
    } else {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, texts };
}

/** The pins with the digests that these registries have. */
function withDigests(pins: Pins): Pins {
  const digestOf = (repository: string, tag: string) => {
    const name = repository.slice(repository.indexOf('/') + 1);
    const content = `manifest /v2/${name}/manifests/${tag}`;
    return `sha256:${createHash('sha256').update(content).digest('hex')}`;
  };
  const images = Object.fromEntries(
    Object.entries(pins.images).map(([name, { repository, tag }]) => [
      name,
      { repository, tag, digest: digestOf(repository, tag) },
    ]),
  );
  return { ...pins, images: { ...pins.images, ...images } };
}

async function prepare(pins: Pins = withDigests(artifacts)) {
  const { port, texts } = await startProjects(artifacts);
  const file = path.join(await temporaryFolder(), 'artifacts.json');
  const text = `${JSON.stringify(pins, null, 2)}\n`;
  await writeFile(file, text);
  const bases = origins.flatMap((origin) => ['--base', `${origin}=http://127.0.0.1:${port}`]);
  const update = (...args: readonly string[]) =>
    run(script, ['--file', file, ...bases, ...args]).catch((error: unknown) => error as never);
  return { file, text, texts, update };
}

test('pins that upstream still says are left alone', async () => {
  const { file, text, update } = await prepare();
  const { stdout } = await update('--check');
  expect(stdout.split('\n').filter((line) => line.startsWith('same '))).toHaveLength(26);
  expect(stdout).not.toMatch(/^new /m);
  expect(await readFile(file, 'utf8')).toBe(text);
});

test('a new version gets its checksums, and a digest that was not known is learned', async () => {
  const { file, texts, update } = await prepare({
    ...withDigests(artifacts),
    images: artifacts.images,
  });
  const sums = { amd64: '1'.repeat(64), arm64: '2'.repeat(64) };
  texts.set(
    '/opencontainers/runc/releases/download/v9.9.9/runc.sha256sum',
    `${sums.amd64}  runc.amd64\n${sums.arm64}  runc.arm64\n`,
  );
  const unknown = { pause: { ...artifacts.images.pause, digest: undefined } };
  await writeFile(
    file,
    JSON.stringify({
      ...artifacts,
      images: { ...withDigests(artifacts).images, ...unknown },
    }),
  );
  const { stdout } = await update('--set', 'runc=9.9.9', '--set', 'coredns=v9.0.0');
  expect(stdout).toContain(`wrote ${file}`);
  const after = JSON.parse(await readFile(file, 'utf8')) as Pins;
  expect(after.components.runc).toMatchObject({ version: '9.9.9', files: [{ sha256: sums }] });
  expect(after.components.etcd).toEqual(artifacts.components.etcd);
  expect(after.images.pause.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(after.images.coredns.tag).toBe('v9.0.0');
});

test('a checksum that changed without its version is refused, unless it is accepted', async () => {
  const { file, text, texts, update } = await prepare();
  const { version, files } = artifacts.components.kubernetes;
  const changed = `/v${version}/bin/linux/arm64/kubelet.sha256`;
  expect(texts.has(changed)).toBe(true);
  texts.set(changed, 'f'.repeat(64));
  const before = files.find((it) => it.members[0]?.name === 'kubelet')?.sha256.arm64;
  expect(await update()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      `error: Cannot take the checksum of kubelet of kubernetes ${version} (arm64): it was ${before} and is ${'f'.repeat(64)}, though`,
    ),
  });
  expect(await readFile(file, 'utf8')).toBe(text);
  expect(await update('--check', '--accept-changed')).toMatchObject({ code: 1 });
  expect(await readFile(file, 'utf8')).toBe(text);
  await update('--accept-changed');
  expect(await readFile(file, 'utf8')).toContain('f'.repeat(64));
});

test.each([
  [
    ['--set', 'runc=0.0.1'],
    /Cannot read https:\/\/github\.com\/\S+\/v0\.0\.1\/runc\.sha256sum: .*404/,
  ],
  [['--set', 'crun=1'], /Cannot set the version of crun: there is no such component or image/],
  [['--set', 'runc'], /Cannot use --set runc: it is not NAME=VALUE/],
  [['--base', 'https://github.com=http://127.0.0.1:9'], /Cannot read https:\/\/github\.com\//],
])('%j is an error that says what', async (args, message) => {
  const { file, text, update } = await prepare();
  expect(await update(...args)).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
  expect(await readFile(file, 'utf8')).toBe(text);
});
