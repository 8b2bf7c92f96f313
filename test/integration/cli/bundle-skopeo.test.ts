import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { bundleRig, extraImage, makeStack, runCli } from './bundle-rig.ts';

const run = promisify(execFile);

/** Debian's skopeo: another implementation of the formats. `scripts/setup` installs it. */
async function skopeo(...args: readonly string[]): Promise<string> {
  return (await run('skopeo', ['--insecure-policy', ...args])).stdout;
}

const kubernetes = `kubernetes:${artifacts.components.kubernetes.version}`;
const pause = `${artifacts.images.pause.repository}:${artifacts.images.pause.tag}`;

test.each([kubernetes, pause, extraImage, 'manifests/shop'])(
  'another tool copies %s out of a bundle, with every blob of it',
  async (name) => {
    const rig = await bundleRig();
    const manifests = await makeStack(rig, 'shop');
    const out = path.join(rig.folder, 'bundle');
    const created = await runCli(
      ...['bundle', 'create', '--out', out, '--role', 'worker', '--arch', 'amd64'],
      ...['--config', rig.config, '--data-dir', rig.dataDir],
      ...['--image', extraImage, '--manifests', manifests],
    );
    expect(created).toMatchObject({ exitCode: 0, stderr: '' });
    const copy = path.join(rig.folder, 'copy');
    await skopeo(
      'copy',
      '--quiet',
      '--preserve-digests',
      `oci:${out}:${name}`,
      `oci:${copy}:copied`,
    );
    const original = JSON.parse(await skopeo('inspect', '--raw', `oci:${out}:${name}`)) as unknown;
    const copied = JSON.parse(await skopeo('inspect', '--raw', `oci:${copy}:copied`)) as unknown;
    expect(copied).toEqual(original);
    // What it copied is a bundle again, with nothing missing.
    expect(await runCli('bundle', 'verify', copy)).toMatchObject({ exitCode: 0 });
  },
);

test('an archive is a layout in a tar that tar and zstd of the system unpack', async () => {
  const rig = await bundleRig();
  const out = path.join(rig.folder, 'bundle.tar.zst');
  await runCli(
    ...['bundle', 'create', '--out', out, '--role', 'worker', '--arch', 'amd64'],
    ...['--config', rig.config, '--data-dir', rig.dataDir],
  );
  const key = path.join(rig.folder, 'key');
  await runCli('bundle', 'key', '--out', key);
  expect(await runCli('bundle', 'sign', out, '--key', key)).toMatchObject({ exitCode: 0 });
  const directory = path.join(rig.folder, 'unpacked');
  await mkdir(directory);
  await run('tar', ['--zstd', '-xf', out, '-C', directory]);
  expect(JSON.parse(await readFile(path.join(directory, 'oci-layout'), 'utf8'))).toEqual({
    imageLayoutVersion: '1.0.0',
  });
  const raw = await skopeo('inspect', '--config', `oci:${directory}:${pause}`);
  expect(JSON.parse(raw)).toMatchObject({ architecture: 'amd64', os: 'linux' });
  expect(await runCli('bundle', 'verify', directory)).toMatchObject({ exitCode: 0 });
});
