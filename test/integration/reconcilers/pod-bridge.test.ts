import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import {
  type CniHost,
  createCniConfig,
  restorePodBridge,
} from '../../../src/reconcilers/cni-config.ts';
import { componentBinary } from '../../support/components.ts';

const exec = promisify(execFile);
const sandboxes = 12;
const prefix = `mk8s-${process.pid}`;
/** Plays the host: the bridge is made in it, and the real CNI plugins run in it. */
const hostNamespace = `${prefix}-host`;
const podNamespaces = Array.from({ length: sandboxes }, (_, i) => `${prefix}-pod${i}`);
const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'edge-1' },
  spec: { podCIDR: '10.233.7.0/24' },
};

let directory: string;
let configFile: string;
const host: CniHost = {
  readFile: (file) => readFile(file, 'utf8').catch(() => undefined),
  writeFile: (file, content) => writeFile(file, content),
  run: async (command, args) =>
    (await exec('ip', ['netns', 'exec', hostNamespace, command, ...args])).stdout,
  mtu: async () => 1400,
};
const observer = () => createCniConfig({ configFile, host, logger: silentLogger });
const { signal } = new AbortController();

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-bridge-'));
  configFile = path.join(directory, '10-kuberouter.conflist');
  for (const name of [hostNamespace, ...podNamespaces]) await exec('ip', ['netns', 'add', name]);
});

afterEach(async () => {
  for (const name of [hostNamespace, ...podNamespaces]) {
    await exec('ip', ['netns', 'del', name]).catch(() => {});
  }
  await rm(directory, { recursive: true, force: true });
});

it('lets many sandboxes be created at once, and the bridge stays as it is', async () => {
  await observer().reconcile(node, signal);
  const before = await bridge();
  expect(before).toMatchObject({ address: '0a:58:0a:e9:07:01', mtu: 1400 });
  const failures = await addAllSandboxes();
  expect(failures).toEqual([]);
  expect(await bridge()).toEqual(before);
});

it('makes the bridge again from the file, and changes nothing the second time', async () => {
  await observer().reconcile(node, signal);
  const before = await bridge();
  const content = await readFile(configFile, 'utf8');
  await host.run('ip', ['link', 'del', 'kube-bridge']);
  await restorePodBridge({ configFile, host });
  expect(await bridge()).toEqual(before);
  const commands: (readonly string[])[] = [];
  const recording: CniHost = {
    ...host,
    run: (command, args) => {
      commands.push(args);
      return host.run(command, args);
    },
  };
  await createCniConfig({ configFile, host: recording, logger: silentLogger }).reconcile(
    node,
    signal,
  );
  expect(commands).toEqual([['-json', 'address', 'show']]);
  expect(await readFile(configFile, 'utf8')).toBe(content);
});

async function bridge(): Promise<unknown> {
  const json = await host.run('ip', ['-json', 'address', 'show', 'dev', 'kube-bridge']);
  const [link] = JSON.parse(json) as {
    address: string;
    mtu: number;
    addr_info: { family: string; local: string; prefixlen: number }[];
  }[];
  const addresses = link?.addr_info
    .filter(({ family }) => family === 'inet')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  return { address: link?.address, mtu: link?.mtu, addresses };
}

/** What each CNI ADD that failed said. */
async function addAllSandboxes(): Promise<string[]> {
  const list = JSON.parse(await readFile(configFile, 'utf8')) as {
    cniVersion: string;
    name: string;
    plugins: { ipam: Record<string, unknown> }[];
  };
  const [plugin] = list.plugins;
  const { cniVersion, name } = list;
  const ipam = { ...plugin?.ipam, dataDir: path.join(directory, 'ipam') };
  const config = JSON.stringify({ cniVersion, name, ...plugin, ipam });
  const results = await Promise.all(podNamespaces.map((pod) => addSandbox(pod, config)));
  return results.filter((result) => result !== '');
}

/** Empty when it worked. */
function addSandbox(pod: string, config: string): Promise<string> {
  const plugin = componentBinary('bridge');
  const child = spawn('ip', ['netns', 'exec', hostNamespace, plugin], {
    env: {
      ...process.env,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: pod,
      CNI_NETNS: `/run/netns/${pod}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: path.dirname(plugin),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stdin.end(config);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code === 0 ? '' : output));
  });
}
