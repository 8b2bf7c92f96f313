import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { upstreamDns } from '../../../src/addons/coredns.ts';
import { waitFor } from '../../../src/base/time.ts';
import { componentBinary } from '../../support/components.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { freePorts } from '../../support/free-ports.ts';
import { planFor } from '../../support/plan-inputs.ts';

const planned = '/run/mini-k8s/dns';
const clusterName = 'kubernetes.default.svc.cluster.local';

describe('the packaged CoreDNS', () => {
  let controlPlane: TestControlPlane;
  let upstream: Socket;
  let running: ChildProcess | undefined;
  let said = '';

  beforeAll(async () => {
    controlPlane = await startControlPlane();
    upstream = await startUpstream();
  });
  afterEach(async () => {
    if (running?.exitCode === null) {
      const ended = once(running, 'exit');
      running.kill('SIGKILL');
      await ended;
    }
    running = undefined;
  });
  afterAll(async () => {
    upstream?.close();
    await controlPlane?.stop();
  });

  /** Its Corefile, with ports that are free here, the way to the API, and a shorter wait for changes. */
  async function start(dnsDirectory: string): Promise<Resolver> {
    const objects = (await planFor()).stacks.flatMap((stack) => stack.objects);
    const config = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'coredns',
    );
    const [dns, health, ready, metrics] = await freePorts(4);
    const { Corefile = '' } = (config?.['data'] ?? {}) as { readonly Corefile?: string };
    const text = Corefile.replace('.:53', `.:${dns}`)
      .replace('health {', `health 127.0.0.1:${health} {`)
      .replace(/^ {4}ready$/m, `    ready 127.0.0.1:${ready}`)
      .replace(':9153', `127.0.0.1:${metrics}`)
      .replace('pods insecure', `pods insecure\n        kubeconfig ${controlPlane.kubeconfig}`)
      .replace(/^ {4}reload$/m, '    bind 127.0.0.1\n    reload 2s 1s')
      .replace(planned, dnsDirectory);
    const file = path.join(controlPlane.directory, 'Corefile');
    await writeFile(file, text);
    said = '';
    const child = spawn('setpriv', [
      ...['--pdeathsig', 'KILL', componentBinary('coredns'), '-conf', file],
    ]);
    running = child;
    const collect = (chunk: Buffer) => {
      said += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const resolver = new Resolver({ timeout: 5_000, tries: 4 });
    resolver.setServers([`127.0.0.1:${dns}`]);
    const isReady = async () => (await fetch(`http://127.0.0.1:${ready}/ready`)).ok;
    const isServing = () => resolver.resolve4(clusterName).catch(() => undefined);
    const waiting = { timeoutMs: 60_000, describe: () => said.slice(-2000) };
    await waitFor(() => isReady().catch(() => false), { subject: 'CoreDNS', ...waiting });
    await waitFor(isServing, { subject: `an answer for ${clusterName}`, ...waiting });
    return resolver;
  }

  async function dnsDirectory(name: string): Promise<string> {
    const directory = path.join(controlPlane.directory, name);
    await mkdir(directory);
    await chmod(directory, 0o755);
    return directory;
  }

  /** What a node writes, with the test's nameserver in the place of a real one. */
  async function write(directory: string, nameservers: readonly string[]): Promise<void> {
    const { content } = upstreamDns(directory, nameservers);
    const here = content.replace('192.0.2.53', `127.0.0.1:${upstream.address().port}`);
    await writeFile(path.join(directory, 'upstream.conf'), here);
  }

  test('serves the names of the cluster on a node without a nameserver', async () => {
    const directory = await dnsDirectory('none');
    await write(directory, []);
    const resolver = await start(directory);
    expect(await resolver.resolve4(clusterName)).toEqual(['10.96.0.1']);
    await expect(resolver.resolve4('example.com')).rejects.toThrow(/ESERVFAIL|EREFUSED/);
  });

  test('starts before the node has written anything, and follows what it writes', async () => {
    const directory = await dnsDirectory('later');
    const resolver = await start(directory);
    expect(await resolver.resolve4(clusterName)).toEqual(['10.96.0.1']);
    await write(directory, ['192.0.2.53']);
    const outside = () => resolver.resolve4('example.com').catch(() => undefined);
    const waiting = { timeoutMs: 60_000, describe: () => said.slice(-2000) };
    const found = await waitFor(outside, { subject: 'a name of the outside', ...waiting });
    expect(found).toEqual(['203.0.113.80']);
    expect(await resolver.resolve4(clusterName)).toEqual(['10.96.0.1']);
    await rm(path.join(directory, 'upstream.conf'));
    const isGone = async () =>
      (await resolver.resolve4('example.org').catch(() => [])).length === 0;
    await waitFor(isGone, { subject: 'the nameserver to be forgotten', ...waiting });
    expect(await resolver.resolve4(clusterName)).toEqual(['10.96.0.1']);
  });
});

/** A nameserver for which every name is 203.0.113.80. */
async function startUpstream(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const question = query.subarray(12, query.indexOf(0, 12) + 5);
    const isAddress = question.readUInt16BE(question.length - 4) === 1;
    const header = Buffer.from(query.subarray(0, 12));
    // An answer, recursion available; one question, one answer or none, no more sections.
    header.writeUInt16BE(0x8180, 2);
    header.writeUInt16BE(isAddress ? 1 : 0, 6);
    header.fill(0, 8);
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 203, 0, 113, 80]);
    const reply = Buffer.concat([header, question, ...(isAddress ? [answer] : [])]);
    socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}
