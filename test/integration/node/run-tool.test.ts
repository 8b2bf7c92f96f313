import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';

const main = path.resolve(import.meta.dirname, '../../../src/main.ts');

let dataDir: string;

/** A tool that writes down how it was called, then runs `script`. */
async function installTool(tool: string, script: string): Promise<void> {
  const file = path.join(dataDir, 'bin', tool);
  await writeFile(
    file,
    `#!/bin/sh\nout='${dataDir}/called'\nfor a in "$@"; do printf '%s\\n' "$a"; done > "$out"\nenv > '${dataDir}/env'\n${script}\n`,
  );
  await chmod(file, 0o755);
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'] ?? '', MINI_K8S_DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  }
  return { child, output: () => Buffer.concat(chunks).toString('utf8') };
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { child, output } = start(args, env);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output: output() };
}

const called = async () => (await readFile(path.join(dataDir, 'called'), 'utf8')).split('\n');

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'mini-k8s-run-tool-'));
  await mkdir(path.join(dataDir, 'bin'));
  await mkdir(path.join(dataDir, 'etc'));
  await writeFile(path.join(dataDir, 'etc/admin.kubeconfig'), 'x');
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

describe('mini-k8s kubectl', () => {
  it.each([
    [['get', 'pods', '-n', 'kube-system', '-o', 'json']],
    [['--help']],
    [['-h']],
    [['--version']],
    [['exec', 'a', '--', 'sh', '-c', 'echo "$HOME"; exit 3']],
    [[]],
  ])('hands over %j as it is', async (args) => {
    await installTool('kubectl', 'echo hello');
    const { exitCode, output } = await run(['kubectl', ...args]);
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: 'hello\n' });
    expect(await called()).toEqual([...args.flatMap((arg) => arg.split('\n')), '']);
  });

  it('has the administrator of the node, unless KUBECONFIG names another', async () => {
    await installTool('kubectl', '');
    await run(['kubectl']);
    expect(await readFile(`${dataDir}/env`, 'utf8')).toContain(
      `KUBECONFIG=${dataDir}/etc/admin.kubeconfig\n`,
    );
    await run(['kubectl'], { KUBECONFIG: '/other' });
    expect(await readFile(`${dataDir}/env`, 'utf8')).toContain('KUBECONFIG=/other\n');
  });

  it('has the exit code of kubectl, or tells its signal like a shell', async () => {
    await installTool('kubectl', 'exit 42');
    expect((await run(['kubectl', 'x'])).exitCode).toBe(42);
    await installTool('kubectl', 'kill -KILL $$');
    expect((await run(['kubectl', 'x'])).exitCode).toBe(137);
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('passes %s on, and waits', async (signal) => {
    await installTool(
      'kubectl',
      `trap 'exit 7' TERM HUP; echo ready; while :; do sleep 0.05; done`,
    );
    const { child, output } = start(['kubectl', 'logs', '-f']);
    await waitFor(() => output().includes('ready'), {
      subject: 'kubectl',
      timeoutMs: 60_000,
      describe: output,
    });
    child.kill(signal);
    expect(await once(child, 'close')).toEqual([7, null]);
  });

  it('says what to do where there is no cluster', async () => {
    await installTool('kubectl', '');
    await rm(path.join(dataDir, 'etc/admin.kubeconfig'));
    const { exitCode, output } = await run(['kubectl', 'get', 'pods']);
    expect(exitCode).toBe(1);
    expect(output).toContain(`there is no cluster in ${dataDir}`);
    expect(output).toContain('fix: start one with: mini-k8s controller');
  });
});

describe('mini-k8s etcdctl', () => {
  it('has the address and the keys that the node was started with', async () => {
    await installTool('etcdctl', '');
    const env = { ETCDCTL_ENDPOINTS: 'https://127.0.0.1:12379', ETCDCTL_CERT: '/c' };
    await writeFile(path.join(dataDir, 'etc/etcdctl.json'), JSON.stringify(env));
    expect((await run(['etcdctl', 'member', 'list', '-w', 'table'])).exitCode).toBe(0);
    expect(await called()).toEqual(['member', 'list', '-w', 'table', '']);
    const text = await readFile(`${dataDir}/env`, 'utf8');
    for (const [name, value] of Object.entries(env)) expect(text).toContain(`${name}=${value}\n`);
  });

  it('says what to do where there is no cluster', async () => {
    await installTool('etcdctl', '');
    const { exitCode, output } = await run(['etcdctl', 'member', 'list']);
    expect(exitCode).toBe(1);
    expect(output).toContain(`there is no cluster in ${dataDir}`);
  });
});
