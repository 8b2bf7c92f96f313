import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import {
  bootstrapKubeconfigPath,
  kubeletClientCertificate,
} from '../../../src/components/kubelet.ts';
import { kubeconfigPath } from '../../../src/components/layout.ts';
import { type Paths, pathsFor } from '../../../src/config/paths.ts';
import { membershipWatch } from '../../../src/node/membership-watch.ts';
import type { RunningComponent } from '../../../src/supervisor/types.ts';

let folder: string;
let paths: Paths;
let running: RunningComponent | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-membership-'));
  paths = { ...pathsFor({ dataDir: folder }), kubeletDir: path.join(folder, 'kubelet') };
  await mkdir(path.join(paths.kubeletDir, 'pki'), { recursive: true });
  await mkdir(paths.etcDir, { recursive: true });
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  await rm(folder, { recursive: true, force: true });
});

const mirrors = () => path.join(folder, 'registries/_default/hosts.toml');
const readMirrors = () => readFile(mirrors(), 'utf8').catch(() => undefined);

async function start() {
  const file = { path: mirrors(), content: 'new', mode: 0o644, uid: 0, gid: 0 };
  const worker = { memberFiles: [file] };
  const secretOf = (name: string) => `the ${name}`;
  const watch = membershipWatch({ worker, secretOf, paths, clock: systemClock });
  running = await watch.start(AbortSignal.timeout(60_000));
  return running;
}

async function receiveCertificate(): Promise<void> {
  await writeFile(kubeletClientCertificate(paths), 'certificate and key');
  await writeFile(kubeconfigPath(paths, 'kubelet'), '{}');
}

test('what names the certificate is away until there is one, and the token after', async () => {
  await mkdir(path.dirname(mirrors()), { recursive: true });
  await writeFile(mirrors(), 'of an earlier membership');
  await writeFile(bootstrapKubeconfigPath(paths), 'token');
  const component = await start();
  await waitFor(async () => (await readMirrors()) === undefined, {
    subject: 'the old mirrors to be away',
    timeoutMs: 20_000,
    intervalMs: 10,
  });
  let isReady = false;
  const ready = component.waitReady(AbortSignal.timeout(60_000)).then(() => {
    isReady = true;
  });
  await writeFile(kubeletClientCertificate(paths), 'certificate and key');
  expect([isReady, await readMirrors()]).toEqual([false, undefined]);
  await receiveCertificate();
  await ready;
  expect(await readMirrors()).toBe('new');
  expect(await readdir(paths.etcDir)).toEqual([path.basename(kubeconfigPath(paths, 'kubelet'))]);
});

test('a member keeps its mirrors as they are', async () => {
  await receiveCertificate();
  await (await start()).waitReady(AbortSignal.timeout(60_000));
  const before = await stat(mirrors());
  await running?.stop();
  await (await start()).waitReady(AbortSignal.timeout(60_000));
  const after = await stat(mirrors());
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
});
