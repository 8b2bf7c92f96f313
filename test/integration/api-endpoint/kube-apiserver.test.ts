import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { followApiServers } from '../../../src/api-endpoint/follow-endpoints.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import { createKubeClient } from '../../../src/kube-client/client.ts';
import { componentBinary } from '../../support/components.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { createRig, impatient, type Rig, type RunningEndpoint, silentHost } from './harness.ts';

const run = promisify(execFile);
let controlPlane: TestControlPlane;
let rig: Rig;
let endpoint: RunningEndpoint;
let address: string;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  address = new URL(controlPlane.server).host;
});
afterAll(() => controlPlane?.stop());
beforeEach(async () => {
  rig = await createRig();
  endpoint = await rig.balance({
    servers: [`${silentHost}:6443`, address],
    ca: await readFile(controlPlane.caFile, 'utf8'),
    timings: { checkDialTimeoutMs: impatient.checkDialTimeoutMs },
  });
  await endpoint.waitHealth(address, 'healthy');
});
afterEach(() => rig.cleanUp());

const server = () => `https://127.0.0.1:${endpoint.port()}`;

async function kubectl(...args: readonly string[]): Promise<string> {
  const cache = path.join(rig.directory, 'kubectl');
  const flags = [`--kubeconfig=${controlPlane.kubeconfig}`, `--server=${server()}`];
  const { stdout } = await run(componentBinary('kubectl'), [
    ...flags,
    `--cache-dir=${cache}`,
    ...args,
  ]);
  return stdout.trim();
}

test('kubectl works through it, before and after the API server restarts', async () => {
  expect(await kubectl('get', 'namespace', 'default', '-o', 'name')).toBe('namespace/default');
  await kubectl('create', 'configmap', 'through-the-balancer');
  await controlPlane.stopApiServer();
  await expect(kubectl('get', 'namespaces')).rejects.toThrow(/EOF|reset|refused/);
  await endpoint.waitHealth(address, 'dead');
  await controlPlane.startApiServer();
  expect(await kubectl('get', 'configmaps', '-o', 'name')).toContain('through-the-balancer');
  await endpoint.waitHealth(address, 'healthy');
});

test('one whose process is stopped is left and cut, and used again when it goes on', async () => {
  const other = await rig.serve('other');
  const balanced = await rig.balance({
    servers: [address],
    learnedFile: path.join(rig.directory, 'stopped.json'),
    ca: `${await readFile(controlPlane.caFile, 'utf8')}\n${rig.authority.ca}`,
    timings: { checkAnswerTimeoutMs: 2_000, hurriedAnswerTimeoutMs: 1_000, firstAnswerMs: 500 },
  });
  await balanced.waitHealth(address, 'healthy');
  const watch = watchNamespaces(balanced.port());
  const pid = controlPlane.apiServerPid();
  if (pid === undefined) throw new Error('no API server');
  try {
    await watch.hasBegun;
    balanced.update([other.address]);
    await balanced.waitHealth(other.address, 'healthy');
    expect(balanced.status().chosen).toBe(address);
    // The kernel goes on accepting connections for it.
    process.kill(pid, 'SIGSTOP');
    expect(await balanced.ask()).toBe('other');
    await watch.hasEnded;
    expect(balanced.status()).toMatchObject({ chosen: other.address, cutConnections: 1 });
  } finally {
    process.kill(pid, 'SIGCONT');
    watch.kill();
  }
  await balanced.waitHealth(address, 'healthy');
  await other.kill();
  const through = [`--server=https://127.0.0.1:${balanced.port()}`];
  expect(await kubectl('get', 'namespace', 'default', '-o', 'name', ...through)).toContain(
    'default',
  );
});

test('the list follows the EndpointSlice of the API, with the permission to read that one only', async () => {
  const abort = new AbortController();
  const files = await controlPlane.clientCertificate('system:node:edge-1', ['edge']);
  const client = createKubeClient({ server: server(), caFile: controlPlane.caFile, ...files });
  await kubectl(
    ...['create', 'role', 'api-list', '--verb=list,watch', '--resource=endpointslices'],
    ...['--resource-name=kubernetes'],
  );
  await kubectl('create', 'rolebinding', 'api-list', '--role=api-list', '--group=edge');
  const lists: (readonly string[])[] = [];
  const publish = (servers: readonly string[]) => {
    lists.push(servers);
    endpoint.update(servers);
  };
  const following = followApiServers({ client, publish, logger: silentLogger }, abort.signal);
  const slice = (...addresses: readonly string[]) =>
    JSON.stringify({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'kubernetes', namespace: 'default' },
      addressType: 'IPv4',
      endpoints: addresses.map((each) => ({ addresses: [each], conditions: { ready: true } })),
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    });
  const known = () =>
    endpoint
      .status()
      .servers.filter(({ origin }) => origin === 'learned')
      .map(({ address: each }) => each);
  const waitKnown = (...addresses: readonly string[]) =>
    waitFor(() => JSON.stringify(known()) === JSON.stringify(addresses), {
      subject: `the list to be ${addresses.join()}`,
      timeoutMs: 20_000,
      describe: () => JSON.stringify({ known: known(), lists }),
    });
  try {
    await apply(slice('198.51.100.4'));
    await waitKnown('198.51.100.4:6443');
    await apply(slice('198.51.100.4', '198.51.100.5'));
    await waitKnown('198.51.100.4:6443', '198.51.100.5:6443');
    await apply(slice());
    await waitFor(() => lists.at(-1)?.length === 0, { subject: 'news', timeoutMs: 20_000 });
    expect(known()).toHaveLength(2);
    expect(JSON.parse(await readFile(rig.learnedFile, 'utf8'))).toMatchObject({ servers: known() });
  } finally {
    abort.abort();
    await following;
    client.close();
  }
});

/** One connection that stays open, and what tells that it ended. */
function watchNamespaces(port: number) {
  const child = execFile(componentBinary('kubectl'), [
    ...[`--kubeconfig=${controlPlane.kubeconfig}`, `--cache-dir=${rig.directory}/kubectl`],
    ...[`--server=https://127.0.0.1:${port}`, 'get', '--raw'],
    '/api/v1/namespaces?watch=true',
  ]);
  return {
    hasBegun: new Promise((resolve) => child.stdout?.once('data', resolve)),
    hasEnded: new Promise((resolve) => child.once('close', resolve)),
    kill: () => child.kill(),
  };
}

async function apply(manifest: string): Promise<void> {
  const child = execFile(componentBinary('kubectl'), [
    ...[`--kubeconfig=${controlPlane.kubeconfig}`, `--cache-dir=${rig.directory}/kubectl`],
    ...['apply', '--server-side', '--force-conflicts', '-f', '-'],
  ]);
  let said = '';
  child.stderr?.on('data', (text: string) => {
    said += text;
  });
  child.stdin?.end(manifest);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(said);
}
