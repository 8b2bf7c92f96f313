import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { waitFor } from '../../../src/base/time.ts';
import { run } from '../../../src/cli/run.ts';
import { createUserKubeconfig } from '../../../src/node/user-kubeconfig.ts';
import { componentBinary } from '../../support/components.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { fakeContext } from '../../support/fake-stream.ts';

// A real kube-apiserver says who somebody is, and a real kubectl reads what was merged.
let controlPlane: TestControlPlane;
let dataDir: string;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  dataDir = await dataDirOf(controlPlane);
});
afterAll(() => controlPlane?.stop());

/** A controller's directory with the authority of the test's control plane. */
async function dataDirOf({ directory, caFile, caKeyFile, admin, server }: TestControlPlane) {
  const data = path.join(directory, 'data');
  await mkdir(path.join(data, 'pki'), { recursive: true });
  await mkdir(path.join(data, 'etc'));
  const copies: readonly (readonly [string, string])[] = [
    [caFile, 'ca.crt'],
    [caKeyFile, 'ca.key'],
    [admin.certFile, 'admin-client.crt'],
    [admin.keyFile, 'admin-client.key'],
  ];
  for (const [source, name] of copies) await copyFile(source, path.join(data, 'pki', name));
  await writeFile(path.join(data, 'etc/admin.kubeconfig'), `server: "${server}"\n`);
  return data;
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-kubeconfig-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const context = fakeContext(env);
  const exitCode = await run(['kubeconfig', ...args, '--data-dir', dataDir], context);
  return { exitCode, stdout: context.stdout.text(), stderr: context.stderr.text() };
}

async function kubectl(kubeconfig: string, ...args: readonly string[]): Promise<string> {
  const flags = ['--kubeconfig', kubeconfig, '--cache-dir', path.join(dataDir, 'cache')];
  const { stdout } = await promisify(execFile)(componentBinary('kubectl'), [...flags, ...args]);
  return stdout;
}

const toServer = () => ['--server', controlPlane.server];

describe('kubeconfig create', () => {
  test('is a user with groups to the API, with the rights that RBAC gives them and no others', async () => {
    const file = path.join(await temporaryDirectory(), 'alice.kubeconfig');
    const { exitCode, stdout, stderr } = await cli([
      ...['create', 'alice@example.com', '--group', 'developers', '--group', 'ops,night'],
      ...['--ttl', '1h', '--output', file, ...toServer()],
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
    expect(stderr).toMatch(/is for alice@example.com of developers, ops, night until 20/);
    expect((await stat(file)).mode & 0o7777).toBe(0o600);
    const who = JSON.parse(await kubectl(file, 'auth', 'whoami', '-o', 'json'));
    expect(who.status.userInfo).toMatchObject({
      username: 'alice@example.com',
      groups: ['developers', 'ops', 'night', 'system:authenticated'],
    });
    await expect(kubectl(file, 'get', 'configmaps')).rejects.toThrow('is forbidden');
    const asAdmin = (...args: readonly string[]) => kubectl(controlPlane.kubeconfig, ...args);
    await asAdmin('create', 'clusterrole', 'reader', '--verb=list', '--resource=configmaps');
    await asAdmin('create', 'clusterrolebinding', 'ops', '--clusterrole=reader', '--group=ops');
    let last = '';
    await waitFor(
      () =>
        kubectl(file, 'get', 'configmaps').then(
          () => true,
          (error: unknown) => {
            last = String(error);
            return false;
          },
        ),
      { subject: 'the API to know of the binding', timeoutMs: 60_000, describe: () => last },
    );
    await expect(kubectl(file, 'get', 'secrets')).rejects.toThrow('is forbidden');
  });

  test('is valid for as long as was asked for, and prints its key only as part of it', async () => {
    const before = Date.now();
    const { stdout, stderr } = await cli(['create', 'bob', '--ttl', '8h', '--name', 'greenhouse']);
    const config = parse(stdout);
    expect(config['current-context']).toBe('bob@greenhouse');
    const { user } = config.users[0];
    const certificate = new X509Certificate(Buffer.from(user['client-certificate-data'], 'base64'));
    expect(certificate.validToDate.getTime() - before).toBeGreaterThan(8 * 3_600_000 - 2000);
    expect(certificate.validToDate.getTime() - Date.now()).toBeLessThanOrEqual(8 * 3_600_000);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    const key = Buffer.from(user['client-key-data'], 'base64').toString();
    expect(key).toContain('BEGIN PRIVATE KEY');
    expect(stderr).not.toContain(key.split('\n')[1]);
  });

  test.each([
    [['create', 'eve', '--group', 'system:masters'], 'system:masters may do everything'],
    [['create', 'system:node:edge-7'], 'system:node:edge-7 is a name of Kubernetes itself'],
    [['create', 'eve', '--group', 'mini-k8s:kubelet-clients'], 'is a group of mini-k8s'],
    [['create', 'mini-k8s'], 'whose reads are not in the audit log'],
    [['create', 'kubernetes-admin'], "is the administrator's name"],
    [['create', 'a\nb'], 'is not a name'],
    [['create', ''], 'is not a name'],
    [['create', 'bob', '--group', '-'], 'is not a name'],
    [['create', 'bob', '--ttl', 'soon'], 'it is not a duration'],
    [['create', 'bob', '--ttl', '1m'], 'a certificate lives from 10m to 365d'],
    [['create', 'bob', '--ttl', '366d'], 'a certificate lives from 10m to 365d'],
    [['create', 'bob', '--name', 'my cluster'], 'Cannot call the cluster "my cluster"'],
  ])('refuses %j', async (args, why) => {
    const { exitCode, stdout, stderr } = await cli(args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain(why);
    expect(stderr).toMatch(/^fix: /m);
  });

  test.each([
    ['1970-01-01', 'and this release is newer'],
    ['2126-01-01', 'the certificate authority ca is valid from'],
  ])('makes nothing while the clock says %s', async (date, why) => {
    const clock = { now: () => Date.parse(date) };
    const options = { dataDir, user: 'bob', groups: [], allowsReservedNames: false, clock };
    await expect(createUserKubeconfig(options)).rejects.toMatchObject({
      message: expect.stringContaining(why),
      fix: expect.stringContaining("set the machine's clock"),
    });
  });

  test('gives system:masters to whoever insists', async () => {
    const file = path.join(await temporaryDirectory(), 'root.kubeconfig');
    const names = ['create', 'root', '--group', 'system:masters', '--allow-reserved'];
    expect((await cli([...names, '--output', file, ...toServer()])).exitCode).toBe(0);
    expect(await kubectl(file, 'auth', 'can-i', '*', '*')).toBe('yes\n');
  });

  test('replaces a file only when told to', async () => {
    const file = path.join(await temporaryDirectory(), 'config');
    await writeFile(file, 'precious');
    const refused = await cli(['create', 'bob', '--output', file]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toContain('there is a file by this name');
    expect(await readFile(file, 'utf8')).toBe('precious');
    expect((await cli(['create', 'bob', '--output', file, '--force'])).exitCode).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('bob@mini-k8s');
    expect((await stat(file)).mode & 0o7777).toBe(0o600);
    const nowhere = await cli(['create', 'bob', '--output', `${file}/below/it`]);
    expect(nowhere.stderr).toContain('fix: check the path and its permissions');
  });

  test('says on another machine that it is no controller', async () => {
    const context = fakeContext();
    const empty = await temporaryDirectory();
    expect(await run(['kubeconfig', 'create', 'bob', '--data-dir', empty], context)).toBe(1);
    expect(context.stderr.text()).toBe(
      `error: Cannot make a kubeconfig for bob: there is no cluster in ${empty}\n` +
        'fix: run it on a controller, or name its --data-dir\n',
    );
  });
});

describe('kubeconfig admin --merge', () => {
  const merge = (home: string, ...args: readonly string[]) =>
    cli(['admin', '--merge', ...args, ...toServer()], { HOME: home });

  test('makes ~/.kube/config where there is none, and changes nothing the second time', async () => {
    const home = await temporaryDirectory();
    const file = path.join(home, '.kube/config');
    expect(await merge(home)).toEqual({
      ...{ exitCode: 0, stderr: '' },
      stdout: `${file} has the context mini-k8s\n`,
    });
    expect((await stat(file)).mode & 0o7777).toBe(0o600);
    expect((await stat(path.dirname(file))).mode & 0o7777).toBe(0o700);
    expect(await kubectl(file, 'auth', 'can-i', '*', '*')).toBe('yes\n');
    const before = await stat(file);
    expect((await merge(home)).stdout).toBe(`${file} already had the context mini-k8s\n`);
    expect(await stat(file)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
  });

  test('keeps what kubectl put there, the current context and the mode of a key', async () => {
    const home = await temporaryDirectory();
    const file = path.join(home, 'clusters');
    const config = (...args: readonly string[]) => kubectl(file, 'config', ...args);
    await config('set-cluster', 'work', '--server=https://work.example');
    await config('set-context', 'work', '--cluster=work', '--user=me');
    await config('use-context', 'work');
    const env = { HOME: home, KUBECONFIG: `:/nowhere/config:${file}:/nowhere/else` };
    const merged = await cli(['admin', '--merge', '--name', 'greenhouse', ...toServer()], env);
    expect(merged.stdout).toBe(
      `${file} has the context greenhouse\n` +
        'kubectl goes on using work: kubectl config use-context greenhouse\n',
    );
    expect(await config('current-context')).toBe('work\n');
    expect(await config('get-contexts', '-o', 'name')).toBe('greenhouse\nwork\n');
    const who = await kubectl(file, '--context', 'greenhouse', 'auth', 'whoami', '-o', 'name');
    expect(who).toContain('selfsubjectreview');
  });

  test('writes through a link, to the file that was named', async () => {
    const home = await temporaryDirectory();
    await symlink('real', path.join(home, 'link'));
    await writeFile(path.join(home, 'real'), '', { mode: 0o644 });
    expect((await merge(home, path.join(home, 'link'))).exitCode).toBe(0);
    expect(await readFile(path.join(home, 'real'), 'utf8')).toContain('mini-k8s-admin');
    expect((await stat(path.join(home, 'real'))).mode & 0o7777).toBe(0o600);
  });

  test('a file of a person stays theirs, and so does a new one', async () => {
    const home = await temporaryDirectory();
    const { chown } = await import('node:fs/promises');
    await chown(home, 1234, 1235);
    for (const file of ['.kube/config', 'deep/er/config']) {
      expect((await merge(home, path.join(home, file))).exitCode).toBe(0);
      for (const made of [file, path.dirname(file)]) {
        const owner = await stat(path.join(home, made));
        expect(owner, made).toMatchObject({ uid: 1234, gid: 1235 });
      }
    }
  });

  test('leaves a broken file, and one that is in use, exactly as it is', async () => {
    const home = await temporaryDirectory();
    const file = path.join(home, 'config');
    await writeFile(file, 'clusters: [', { mode: 0o640 });
    const broken = await merge(home, file);
    expect(broken).toMatchObject({ exitCode: 1, stdout: '' });
    expect(broken.stderr).toContain(`Cannot merge into ${file}: it cannot be read as a kubeconfig`);
    expect(await readFile(file, 'utf8')).toBe('clusters: [');
    expect((await stat(file)).mode & 0o7777).toBe(0o640);
    const directory = await cli(['admin', '--merge', ...toServer()], { KUBECONFIG: home });
    expect(directory).toMatchObject({ exitCode: 1, stdout: '' });
    expect(directory.stderr).toContain('Cannot write the kubeconfig: EISDIR');
    await rm(file);
    await writeFile(`${file}.lock`, '');
    const inUse = await merge(home, file);
    expect(inUse.stderr).toContain(`${file}.lock is there: another program is changing it`);
    await expect(stat(file)).rejects.toThrow('ENOENT');
    await expect(stat(`${file}.lock`)).resolves.toBeDefined();
  });
});
