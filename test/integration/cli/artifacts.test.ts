import { once } from 'node:events';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { blobPath } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { findComponent, openStore } from '../../../src/artifacts/store.ts';
import { run } from '../../../src/cli/run.ts';
import { fakeContext } from '../../support/fake-stream.ts';
import { makeTar, neverAborted, storeState, temporaryFolder } from '../artifacts/bundle-fixture.ts';

const runc = artifacts.components.runc.version;
const pause = `${artifacts.images.pause.repository}:${artifacts.images.pause.tag}`;

/** A bundle with runc, an old etcd, the pause image, an old one of it, and one that is none of ours. */
async function makeOurBundle(folder: string) {
  const file = path.join(folder, 'executable');
  await writeFile(file, 'runc'.repeat(1000));
  const directory = path.join(folder, 'bundle');
  const writer = await createLayoutWriter(directory);
  const component = (name: string, version: string, member: string) =>
    writer.addComponent({
      ...{ name, version, arch: 'amd64', builtFrom: 'source' },
      executables: [{ name: member, file }],
    });
  await component('runc', runc, 'runc');
  await component('etcd', '3.4.0', 'etcd');
  const image = async (reference: string) =>
    writer.addImage({
      ...{ reference, arch: 'amd64', config: {} },
      layers: [
        { blob: await writer.addBlob(makeTar([{ path: 'a', content: Buffer.from(reference) }])) },
      ],
    });
  await image(pause);
  await image(`${artifacts.images.pause.repository}:3.1`);
  await image('example.test/mine:3.1');
  return { directory, ...(await writer.finish()) };
}

async function prepare() {
  const folder = await temporaryFolder();
  const dataDir = path.join(folder, 'data');
  const config = path.join(folder, 'config.yaml');
  await writeFile(config, 'spec: { artifacts: { upstream: { enabled: false } } }\n');
  const cli = async (...args: readonly string[]) => {
    const context = fakeContext();
    const exitCode = await run([...args, '--data-dir', dataDir], context);
    return { exitCode, stdout: context.stdout.text(), stderr: context.stderr.text() };
  };
  return { folder, dataDir, config, cli };
}

async function prepareStore() {
  const prepared = await prepare();
  const bundle = await makeOurBundle(prepared.folder);
  await mkdir(prepared.dataDir);
  const store = await openStore(path.join(prepared.dataDir, 'store'));
  await importBundle({
    ...{ path: bundle.directory, store, trustBundle: bundle.indexSha256 },
    ...{ onEvent: () => {}, signal: neverAborted },
  });
  return { ...prepared, store, bundle };
}

const amd64 = ['--arch', 'amd64'];

describe('artifacts list', () => {
  test('shows what a role needs and what is there, and makes nothing', async () => {
    const { cli, config, dataDir } = await prepare();
    const scope = [...amd64, '--config', config];
    const { exitCode, stdout } = await cli('artifacts', 'list', '--role', 'worker', ...scope);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^COMPONENT +VERSION +ARCH +STATE +SIZE +BUILT BY +EXECUTABLE\n/);
    expect(stdout).toMatch(/^kubernetes +1\.\S+ +amd64 +missing +- +- +kubelet$/m);
    expect(stdout).not.toMatch(/etcd|kube-apiserver/);
    expect(stdout).toMatch(/\n0 of \d+ executables are there, 0 MB\n$/);
    await expect(readFile(path.join(dataDir, 'store/index.json'))).rejects.toThrow('ENOENT');
  });

  test('gives programs sizes, digests and where upstream has each', async () => {
    const { cli, config } = await prepareStore();
    const { stdout } = await cli('artifacts', 'list', ...amd64, '--config', config, '-o', 'json');
    const rows = JSON.parse(stdout) as { name: string }[];
    expect(rows.find(({ name }) => name === 'runc')).toEqual({
      ...{ component: 'runc', version: runc, arch: 'amd64', name: 'runc', isPresent: true },
      ...{ sizeBytes: 4000, builtFrom: 'source' },
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      upstream: {
        url: `https://github.com/opencontainers/runc/releases/download/v${runc}/runc.amd64`,
        sha256: artifacts.components.runc.files[0]?.sha256.amd64,
      },
    });
    expect(rows.find(({ name }) => name === 'etcd')).toMatchObject({ isPresent: false });
  });

  test.each([
    [['--role', 'master'], 'Cannot use --role master'],
    [['--arch', 'x86'], 'Cannot use --arch x86'],
  ])('refuses %j', async (args, message) => {
    const { cli } = await prepare();
    const { exitCode, stderr } = await cli('artifacts', 'list', ...args);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(message);
  });
});

test('images list shows wanted images and others', async () => {
  const { cli, config } = await prepareStore();
  const { stdout } = await cli('images', 'list', ...amd64, '--config', config);
  expect(stdout).toMatch(new RegExp(`^present +amd64 +\\S+ MB +yes +${pause}$`, 'm'));
  expect(stdout).toMatch(/^missing +amd64 +- +yes +registry\.k8s\.io\/coredns/m);
  expect(stdout).toMatch(/^present +amd64 +\S+ MB +no +example\.test\/mine:3\.1$/m);
});

describe('artifacts fetch', () => {
  test('takes from a bundle what the role needs, and says what nobody has', async () => {
    const { cli, config, folder, dataDir } = await prepare();
    const bundle = await makeOurBundle(folder);
    const { exitCode, stderr } = await cli(
      ...['artifacts', 'fetch', ...amd64, '--config', config],
      ...['--bundle', bundle.directory, '--trust-bundle', bundle.indexSha256],
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain('error: Cannot obtain kube-apiserver');
    expect(stderr).not.toContain('Cannot obtain runc');
    const store = { directory: path.join(dataDir, 'store') };
    // runc, the pause image, and the image that is none of ours and so rides along.
    expect(await storeState(store)).toMatchObject({ entries: 3, temporary: 0 });
  });

  test('asks the mirror of the configuration by upstream’s paths, and believes only the pins', async () => {
    const { cli, config } = await prepare();
    const asked: string[] = [];
    const mirror = createServer((request, response) => {
      asked.push(`${request.headers.authorization} ${request.url}`);
      response.end('not what upstream has');
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void mirror.close());
    await once(mirror, 'listening');
    const base = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/files`;
    await writeFile(`${config}.credentials`, 'user:secret\n');
    await writeFile(
      config,
      `spec: { artifacts: { mirror: '${base}', credentialsFile: '${config}.credentials', upstream: { enabled: false } } }\n`,
    );
    const scope = ['--role', 'worker', ...amd64, '--config', config];
    const { exitCode, stderr } = await cli('artifacts', 'fetch', ...scope);
    expect(exitCode).toBe(1);
    const authorization = `Basic ${Buffer.from('user:secret').toString('base64')}`;
    const runcPath = `/files/opencontainers/runc/releases/download/v${runc}/runc.amd64`;
    expect(asked).toContain(`${authorization} ${runcPath}`);
    expect(stderr).toMatch(/the 21 bytes of runc of runc \S+ \(amd64\) are not sha256:/);
    expect(stderr).not.toContain('secret');
  });
});

describe('artifacts verify', () => {
  test('says that the store is sound, or what is damaged, and removes that when told', async () => {
    const { cli, store } = await prepareStore();
    expect(await cli('artifacts', 'verify')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/\/data\/store is sound \(\d+\.\d s\)\n$/),
    });
    const wanted = { name: 'runc', version: runc, arch: 'amd64' } as const;
    const digest = (await findComponent(store, wanted))?.executables.get('runc')?.digest ?? '';
    await appendFile(blobPath(store.directory, digest), 'x');
    const damaged = await cli('artifacts', 'verify');
    expect(damaged.exitCode).toBe(1);
    expect(damaged.stdout).toContain(`${blobPath(store.directory, digest)}: its content has`);
    expect((await cli('artifacts', 'verify', '--repair')).stdout).toContain('Removed.');
    expect((await cli('artifacts', 'verify')).exitCode).toBe(0);
  });

  test('finds nothing wrong where there is no store', async () => {
    const { cli } = await prepare();
    expect((await cli('artifacts', 'verify')).exitCode).toBe(0);
  });
});

test('artifacts prune removes old versions and leaves what is not ours', async () => {
  const { cli, store } = await prepareStore();
  await mkdir(path.join(store.directory, 'tmp'), { recursive: true });
  await writeFile(path.join(store.directory, `tmp/partial-${'a'.repeat(64)}`), 'x'.repeat(100_000));
  const { exitCode, stdout } = await cli('artifacts', 'prune');
  expect({ exitCode, stdout }).toEqual({
    exitCode: 0,
    stdout: expect.stringMatching(
      /^removed etcd 3\.4\.0 \(amd64\)\nremoved image \S+pause:3\.1 \(amd64\)\nfreed 0\.1 MB\n$/,
    ),
  });
  expect(await storeState(store)).toMatchObject({ entries: 3, temporary: 0 });
  expect((await cli('artifacts', 'prune')).stdout).toBe('freed 0 MB\n');
  expect((await cli('artifacts', 'verify')).exitCode).toBe(0);
});
