import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { storeState } from '../artifacts/bundle-fixture.ts';
import { type BundleRig, bundleRig, extraImage, makeStack, runCli } from './bundle-rig.ts';

const runProgram = promisify(execFile);

interface Report {
  readonly indexSha256: string;
  readonly signedBy: readonly string[];
  readonly entries: readonly { readonly name: string; readonly files: readonly string[] }[];
}

describe.each(['bundle.tar.zst', 'bundle.tar', 'bundle'])('bundle create --out %s', (name) => {
  test('makes what a worker needs from the store, and a node without a network takes it', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, name);
    const created = await create(rig, out, '--role', 'worker', '--arch', 'arm64');
    expect(created).toMatchObject({ exitCode: 0, stderr: '' });

    const report = await inspect(out);
    const names = report.entries.map((entry) => entry.name);
    expect(names).not.toContainEqual(expect.stringMatching(/etcd|amd64|metrics-server|shop/));
    expect(names).toContainEqual(
      expect.stringMatching(/^image registry\.k8s\.io\/pause:\S+ \(arm64\)$/),
    );
    const kubernetes = report.entries.find((entry) => entry.name.startsWith('kubernetes '));
    expect(kubernetes?.files).toEqual(['kube-proxy', 'kubelet']);
    expect(created.stdout).toContain(`--trust-bundle ${report.indexSha256}`);

    expect(await runCli('bundle', 'verify', out)).toMatchObject({ exitCode: 0 });
    const node = path.join(rig.folder, 'node');
    const fetched = await runCli(
      ...['artifacts', 'fetch', '--role', 'worker', '--arch', 'arm64', '--config', rig.config],
      ...['--data-dir', node, '--bundle', out, '--trust-bundle', report.indexSha256],
    );
    expect(fetched).toMatchObject({ exitCode: 0, stderr: '' });
    const { entries } = await storeState({ directory: path.join(node, 'store') });
    expect(entries).toBe(report.entries.length);
    expect(await leftovers(rig)).toEqual([]);
  });

  test('makes the same bytes each time', async () => {
    const rig = await bundleRig();
    const outs = [path.join(rig.folder, `1-${name}`), path.join(rig.folder, `2-${name}`)];
    for (const out of outs) await create(rig, out, '--role', 'worker', '--arch', 'amd64');
    const [first, second] = await Promise.all(outs.map(readAll));
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(true);
  });
});

test('a bundle for controllers of both architectures has all of both', async () => {
  const rig = await bundleRig();
  const out = path.join(rig.folder, 'all.tar');
  expect(await create(rig, out, '--arch', 'amd64,arm64')).toMatchObject({ exitCode: 0 });
  const names = (await inspect(out)).entries.map((entry) => entry.name);
  for (const arch of ['amd64', 'arm64']) {
    expect(names).toContainEqual(expect.stringMatching(new RegExp(`^etcd \\S+ \\(${arch}\\)$`)));
    expect(names).toContainEqual(
      expect.stringMatching(new RegExp(`metrics-server\\S+ \\(${arch}\\)$`)),
    );
  }
});

describe('what rides along', () => {
  test('images and manifests are in the bundle, and reach the store of a node that lacks nothing else', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'shop.tar.zst');
    const manifests = await makeStack(rig, 'shop');
    await create(rig, out, '--arch', 'amd64', '--image', extraImage, '--manifests', manifests);
    const plain = path.join(rig.folder, 'plain.tar.zst');
    await create(rig, plain, '--arch', 'amd64');
    const { entries, indexSha256 } = await inspect(out);
    expect(entries.find(({ name }) => name === 'manifests shop')?.files).toEqual(['web.yaml']);
    expect(entries.map(({ name }) => name)).toContain(`image ${extraImage} (amd64)`);

    const node = path.join(rig.folder, 'node');
    const fetch = async (bundle: string, sha256: string) =>
      runCli(
        ...['artifacts', 'fetch', '--arch', 'amd64', '--config', rig.config, '--data-dir', node],
        ...['--bundle', bundle, '--trust-bundle', sha256],
      );
    await fetch(plain, (await inspect(plain)).indexSha256);
    const before = await storeState({ directory: path.join(node, 'store') });
    expect(await fetch(out, indexSha256)).toMatchObject({ exitCode: 0 });
    const after = await storeState({ directory: path.join(node, 'store') });
    expect(after.entries - before.entries).toBe(2);
    const { stdout } = await runCli('images', 'list', '--config', rig.config, '--data-dir', node);
    expect(stdout).toMatch(/^present +amd64 +\S+ MB +no +registry\.example\/shop:1\.2$/m);
  });

  test.each([
    [
      ['--image', 'Not An Image'],
      'Cannot put image Not An Image into the bundle: that is no reference',
    ],
    [
      ['--image', 'registry.example/absent:1'],
      'Cannot put image registry.example/absent:1 (amd64) into the bundle: neither',
    ],
    [
      ['--manifests', '/nonexistent/stack'],
      'Cannot put the manifests of /nonexistent/stack into the bundle',
    ],
    [['--out', '/nonexistent/b.tar'], 'there is no directory /nonexistent'],
    [['--out', 'b.zip'], 'a bundle is no .zip'],
    [['--role', 'master'], 'Cannot use --role master'],
    [['--arch', 'amd64,mips'], 'Cannot use --arch mips'],
    [['--compression', '22'], 'the levels are 1 to 19'],
  ])('%j is an error that leaves nothing', async (args, message) => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bad.tar');
    const { exitCode, stderr } = await create(rig, out, '--arch', 'amd64', ...args);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(1);
    expect(await leftovers(rig)).toEqual([]);
    await expect(stat(out)).rejects.toThrow('ENOENT');
  });

  test('a manifest that cannot be read is found when the bundle is made, with file and line', async () => {
    const rig = await bundleRig();
    const manifests = await makeStack(rig, 'shop', 'kind: Service\napiVersion: [\n');
    const out = path.join(rig.folder, 'bad.tar');
    const { exitCode, stderr } = await create(
      rig,
      out,
      '--arch',
      'amd64',
      '--manifests',
      manifests,
    );
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/web\.yaml/);
  });
});

describe('bundle sign', () => {
  test.each(['signed.tar.zst', 'signed.tar', 'signed'])(
    '%s is taken by who requires the key, again after signing it twice',
    async (name) => {
      const rig = await bundleRig();
      const out = path.join(rig.folder, name);
      await create(rig, out, '--role', 'worker', '--arch', 'amd64');
      const { privateKey, publicKey } = await makeKey(rig, 'team');
      const other = await makeKey(rig, 'other');
      for (const key of [privateKey, other.privateKey, privateKey]) {
        expect(await runCli('bundle', 'sign', out, '--key', key)).toMatchObject({ exitCode: 0 });
      }
      expect((await inspect(out)).signedBy.toSorted()).toEqual(
        [publicKey, other.publicKey].toSorted(),
      );
      expect(await runCli('bundle', 'verify', out)).toMatchObject({ exitCode: 0 });

      const fetched = await fetchSigned(rig, out, publicKey);
      expect(fetched).toMatchObject({ exitCode: 0, stderr: '' });
      expect(await leftovers(rig)).toEqual([]);
    },
  );

  test('what is not signed, or by another, or changed since, is refused and nothing is written', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bundle');
    await create(rig, out, '--role', 'worker', '--arch', 'amd64');
    const { privateKey, publicKey } = await makeKey(rig, 'team');
    const other = await makeKey(rig, 'other');
    expect((await fetchSigned(rig, out, publicKey)).stderr).toContain(': it is not signed');

    await runCli('bundle', 'sign', out, '--key', other.privateKey);
    expect((await fetchSigned(rig, out, publicKey)).stderr).toContain(
      `it is signed by ${other.publicKey}, not by ${publicKey}`,
    );
    await runCli('bundle', 'sign', out, '--key', privateKey);
    const index = path.join(out, 'index.json');
    const { manifests, ...rest } = JSON.parse(await readFile(index, 'utf8')) as { manifests: [] };
    await writeFile(index, JSON.stringify({ ...rest, manifests: manifests.slice(1) }));
    const changed = await fetchSigned(rig, out, publicKey);
    expect(changed.exitCode).toBe(1);
    expect(changed.stderr).toContain('is of another index.json: it was changed');
    expect(
      (await runCli('bundle', 'verify', out, '--require-signature', publicKey)).stdout,
    ).toContain('is of another index.json');
    await expect(stat(path.join(rig.folder, 'node'))).rejects.toThrow('ENOENT');
  });

  test('an archive is as it was where the disk is full, and nothing else is there', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bundle.tar.zst');
    await create(rig, out, '--role', 'worker', '--arch', 'amd64');
    const { privateKey } = await makeKey(rig, 'team');
    const disk = path.join(rig.folder, 'disk');
    await mkdir(disk);
    const { size } = await stat(out);
    const room = Math.ceil((1.5 * size) / 4096) * 4096;
    await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${room}`, 'tmpfs', disk]);
    onTestFinished(async () => void (await runProgram('umount', [disk])));
    const copy = path.join(disk, 'bundle.tar.zst');
    await copyFile(out, copy);
    const { exitCode, stderr } = await runCli('bundle', 'sign', copy, '--key', privateKey);
    expect(stderr).toMatch(/^error: Cannot sign the bundle \S+: ENOSPC/);
    expect(exitCode).toBe(1);
    expect(await readdir(disk)).toEqual(['bundle.tar.zst']);
    expect((await readFile(copy)).equals(await readFile(out))).toBe(true);
  });

  test('takes keys of openssl, and refuses others', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bundle.tar');
    await create(rig, out, '--role', 'worker', '--arch', 'amd64');
    const [key, publicKey, rsa] = ['k.pem', 'p.pem', 'rsa.pem'].map((file) =>
      path.join(rig.folder, file),
    );
    await runProgram('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', `${key}`]);
    await runProgram('openssl', ['pkey', '-in', `${key}`, '-pubout', '-out', `${publicKey}`]);
    await runProgram('openssl', ['genpkey', '-algorithm', 'RSA', '-out', `${rsa}`]);
    expect(await runCli('bundle', 'sign', out, '--key', `${key}`)).toMatchObject({ exitCode: 0 });
    const verify = (by: string) => runCli('bundle', 'verify', out, '--require-signature', by);
    expect(await verify(`${publicKey}`)).toMatchObject({ exitCode: 0 });
    expect((await runCli('bundle', 'sign', out, '--key', `${rsa}`)).stderr).toContain(
      'not an ed25519 one',
    );
    expect((await verify(`${key}`)).stderr).toContain('it is a private key');
    expect((await verify('ed25519:AAAA')).stderr).toContain('3 bytes instead of 32');
  });
});

describe('bundle verify', () => {
  test('names what is damaged and what is missing', async () => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bundle');
    await create(rig, out, '--role', 'worker', '--arch', 'amd64');
    const blobs = path.join(out, 'blobs', 'sha256');
    const sizes = await Promise.all(
      (await readdir(blobs)).map(async (name) => ({
        name,
        size: (await stat(path.join(blobs, name))).size,
      })),
    );
    const executable = sizes.find(({ size }) => size < 60 && size > 20);
    await writeFile(path.join(blobs, executable?.name ?? ''), 'x'.repeat(executable?.size ?? 0));
    const { exitCode, stdout } = await runCli('bundle', 'verify', out);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      new RegExp(`^blobs/sha256/${executable?.name}: its content has sha256:`, 'm'),
    );
  });

  test('says of what is no bundle that it is none', async () => {
    expect((await runCli('bundle', 'verify', '/nonexistent')).stderr).toContain(
      'there is no /nonexistent',
    );
    expect((await runCli('bundle', 'inspect', '/bin/sh')).stderr).toContain(
      'neither a tar nor a zstd',
    );
  });
});

test.each([['arm64', 'it is for arm64, and this is for amd64']])(
  'a bundle for %s is refused on another machine before anything is written',
  async (arch, why) => {
    const rig = await bundleRig();
    const out = path.join(rig.folder, 'bundle.tar');
    await create(rig, out, '--role', 'worker', '--arch', arch);
    const { publicKey, privateKey } = await makeKey(rig, 'team');
    await runCli('bundle', 'sign', out, '--key', privateKey);
    const { exitCode, stderr } = await fetchSigned(rig, out, publicKey);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(why);
    await expect(stat(path.join(rig.folder, 'node'))).rejects.toThrow('ENOENT');
  },
);

function create({ config, dataDir }: BundleRig, out: string, ...args: readonly string[]) {
  const where = args.includes('--out') ? [] : ['--out', out];
  return runCli('bundle', 'create', ...where, '--config', config, '--data-dir', dataDir, ...args);
}

async function inspect(bundle: string): Promise<Report> {
  const { stdout } = await runCli('bundle', 'inspect', bundle, '-o', 'json');
  return JSON.parse(stdout) as Report;
}

function fetchSigned({ folder, config }: BundleRig, bundle: string, key: string) {
  return runCli(
    ...['artifacts', 'fetch', '--role', 'worker', '--arch', 'amd64', '--config', config],
    ...['--data-dir', path.join(folder, 'node'), '--bundle', bundle, '--require-signature', key],
  );
}

async function makeKey({ folder }: BundleRig, name: string) {
  const privateKey = path.join(folder, `${name}.key`);
  const { stdout } = await runCli('bundle', 'key', '--out', privateKey);
  expect((await stat(privateKey)).mode & 0o777).toBe(0o600);
  return { privateKey, publicKey: stdout.trim() };
}

/** What an unfinished bundle or signature would leave. */
async function leftovers({ folder }: BundleRig): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => /partial|tmp/.test(name));
}

async function readAll(place: string): Promise<Buffer> {
  if ((await stat(place)).isFile()) return readFile(place);
  const names = (await readdir(place, { recursive: true })).toSorted();
  const parts = await Promise.all(
    names.map(async (name) => {
      const file = path.join(place, name);
      return (await stat(file)).isFile()
        ? Buffer.concat([Buffer.from(name), await readFile(file)])
        : Buffer.alloc(0);
    }),
  );
  return Buffer.concat(parts);
}
