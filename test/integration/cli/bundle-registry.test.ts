import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { annotations } from '../../../src/artifacts/media-types.ts';
import { pushImage, startDockerRegistry } from '../../support/docker-registry.ts';
import { makeTar, temporaryFolder } from '../artifacts/bundle-fixture.ts';
import { bundleRig, runCli } from './bundle-rig.ts';

const run = promisify(execFile);

const credentials = 'somebody:a secret';

describe('bundle create takes images from their registries', () => {
  test('with the credentials of a file, and says which image it may not have without', async () => {
    const rig = await bundleRig();
    const open = await startDockerRegistry(rig);
    await pushImage(open.base, { repository: 'team/web', tag: '1.0' }, [image('arm64')]);
    await open.close();
    const registry = await startDockerRegistry({ ...rig, credentials });
    const authFile = path.join(rig.folder, 'auth.json');
    const auth = Buffer.from(credentials).toString('base64');
    await writeFile(authFile, JSON.stringify({ auths: { [registry.host]: { auth } } }));
    const config = path.join(rig.folder, 'online.yaml');
    await writeFile(config, '{}\n');

    const reference = `${registry.host}/team/web:1.0`;
    const out = path.join(rig.folder, 'bundle.tar');
    const create = (...args: readonly string[]) =>
      runCli(
        ...['bundle', 'create', '--out', out, '--role', 'worker', '--arch', 'arm64'],
        ...['--config', config, '--data-dir', rig.dataDir],
        ...['--image', reference, '--plain-http', registry.host, ...args],
      );
    const denied = await create();
    expect(denied.exitCode).toBe(1);
    expect(denied.stdout).toContain('it does not let this machine have the image (401)');
    expect(denied.stderr).toContain(`Cannot put image ${reference} (arm64) into the bundle`);

    expect(await create('--auth-file', authFile)).toMatchObject({ exitCode: 0, stderr: '' });
    const { stdout } = await runCli('bundle', 'inspect', out);
    expect(stdout).toContain(`image ${reference} (arm64)`);
    expect(await runCli('bundle', 'verify', out)).toMatchObject({ exitCode: 0 });
  });

  test.each([
    ['not JSON', 'my secret', 'it is not JSON'],
    ['absent', undefined, 'no such file'],
  ])(
    'and a file of credentials that is %s is an error without its content',
    async (_, text, why) => {
      const rig = await bundleRig();
      const authFile = path.join(rig.folder, 'auth.json');
      if (text !== undefined) await writeFile(authFile, text);
      const config = path.join(rig.folder, 'online.yaml');
      await writeFile(config, '{}\n');
      const { exitCode, stdout, stderr } = await runCli(
        ...['bundle', 'create', '--out', path.join(rig.folder, 'b.tar'), '--role', 'worker'],
        ...['--config', config, '--data-dir', rig.dataDir],
        ...['--image', '127.0.0.1:1/a:1', '--auth-file', authFile],
      );
      expect(exitCode).toBe(1);
      expect(stderr).toContain(why);
      expect(stdout + stderr).not.toContain('my secret');
    },
  );
});

test('a registry is a mirror of all images, by the credentials of the configuration', async () => {
  const folder = await temporaryFolder();
  const open = await startDockerRegistry({ folder });
  const { pause, coredns } = artifacts.images;
  // Of pause the digest is pinned, and this is another one.
  for (const { repository, tag } of [pause, coredns]) {
    const name = repository.slice(repository.indexOf('/') + 1);
    await pushImage(open.base, { repository: `mirror/${name}`, tag }, [image('amd64')]);
  }
  await open.close();
  const registry = await startDockerRegistry({ folder, credentials });
  const credentialsFile = path.join(folder, 'credentials');
  await writeFile(credentialsFile, `${credentials}\n`);
  const config = path.join(folder, 'config.yaml');
  await writeFile(
    config,
    `spec: { artifacts: { mirror: 'oci+http://${registry.host}/mirror', credentialsFile: ${credentialsFile}, upstream: { enabled: false } } }\n`,
  );
  const dataDir = path.join(folder, 'data');
  await mkdir(dataDir);
  const scope = ['--role', 'worker', '--arch', 'amd64', '--config', config, '--data-dir', dataDir];
  // It has no executables; they are what the command fails for.
  const { exitCode, stderr } = await runCli('artifacts', 'fetch', ...scope);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('Cannot obtain kubelet, kube-proxy');
  const { stdout } = await runCli('images', 'list', ...scope);
  expect(stdout).toMatch(new RegExp(`^missing +amd64 .*${pause.repository}:${pause.tag}$`, 'm'));
  expect(stdout).toMatch(
    new RegExp(`^present +amd64 .*${coredns.repository}:${coredns.tag}$`, 'm'),
  );
  expect(stdout).toMatch(/^missing +amd64 .*kube-router/m);
});

test('a bundle that another tool pushed to a registry feeds nodes, where its executables are trusted', async () => {
  const rig = await bundleRig();
  const bundle = path.join(rig.folder, 'bundle');
  await runCli(
    ...['bundle', 'create', '--out', bundle, '--role', 'worker', '--arch', 'amd64'],
    ...['--config', rig.config, '--data-dir', rig.dataDir],
  );
  const registry = await startDockerRegistry(rig);
  for (const name of await namesIn(bundle)) {
    const to = name.includes('/') ? name.slice(name.indexOf('/') + 1) : `mini-k8s/${name}-amd64`;
    const target = `docker://${registry.host}/mirror/${to}`;
    await run('skopeo', [
      ...['--insecure-policy', 'copy', '--quiet', '--preserve-digests'],
      ...['--dest-tls-verify=false', `oci:${bundle}:${name}`, target],
    ]);
  }
  const config = path.join(rig.folder, 'mirror.yaml');
  const node = path.join(rig.folder, 'node');
  const fetchWith = async (trustMirror: boolean) => {
    const mirror = `oci+http://${registry.host}/mirror`;
    await writeFile(
      config,
      JSON.stringify({
        spec: { artifacts: { mirror, trustMirror, upstream: { enabled: false } } },
      }),
    );
    const scope = ['--role', 'worker', '--arch', 'amd64', '--config', config];
    return runCli('artifacts', 'fetch', ...scope, '--data-dir', node);
  };
  const { exitCode, stderr } = await fetchWith(false);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /^error: Cannot take kubernetes \S+ \(amd64\) from registry .*: kube-proxy of .* the pin is/m,
  );
  expect(stderr).toContain('fix: set spec.artifacts.trustMirror: true');

  // Of two images the digests are pinned, and these are others: nobody has them, and containerd would pull them.
  expect(await fetchWith(true)).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await runCli('artifacts', 'verify', '--data-dir', node)).toMatchObject({ exitCode: 0 });
});

async function namesIn(bundle: string): Promise<readonly string[]> {
  const index = JSON.parse(await readFile(path.join(bundle, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly annotations: Record<string, string> }[];
  };
  return index.manifests.map((entry) => entry.annotations[annotations.refName] ?? '');
}

function image(arch: 'amd64' | 'arm64') {
  return { arch, layer: makeTar([{ path: 'content', content: randomBytes(1000) }]) };
}
