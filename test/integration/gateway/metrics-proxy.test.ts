import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import { passwordOf } from '../../../src/node/stack-secrets.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import { startTarget } from '../tunnel/harness.ts';
import { type ProxyRig, proxyUser, secret, startProxyRig } from './metrics-rig.ts';

const authority = createTestAuthority();
const password = passwordOf(secret);
const right = basic(`${proxyUser}:${password}`);

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

describe('the proxy for metrics', () => {
  let directory: string;
  let target: Awaited<ReturnType<typeof startTarget>>;
  let rig: ProxyRig;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-metrics-proxy-'));
    target = await startTarget((socket) => socket.pipe(socket));
    rig = await startProxyRig({
      directory,
      authority,
      kubeletPort: target.port,
      route: (host, port) =>
        host === 'edge-1'
          ? { type: 'dial', address: '127.0.0.1', port, subject: `kubelet of ${host}` }
          : { type: 'refuse', status: 503, reason: `node ${host} has no tunnel` },
    });
  });
  afterAll(async () => {
    await rig?.stop();
    await target?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** Sends bytes, and more once an answer is there; what came back until `last` of it, or the end. */
  function exchange(first: string, then = '', last = 'nothing else'): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: rig.port,
        servername: gatewayServerName,
        ca: authority.ca,
        ALPNProtocols: ['http/1.1'],
      });
      let received = '';
      socket.setTimeout(10_000, () => socket.destroy(new Error(`silence after ${received}`)));
      socket.on('data', (chunk: Buffer) => {
        if (received === '') socket.write(then);
        received += chunk.toString();
        if (received.endsWith(last)) socket.end();
      });
      socket.once('error', reject);
      socket.once('close', () => resolve(received));
      socket.write(first);
    });
  }

  const request = (authority: string, credentials?: string) =>
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${
      credentials === undefined ? '' : `Proxy-Authorization: ${credentials}\r\n`
    }\r\n`;

  test('leads to a kubelet by the name of its node, with what was sent along', async () => {
    const kubelet = `edge-1:${target.port}`;
    const received = await exchange(`${request(kubelet, right)}early `, 'late', 'late');
    expect(received).toMatch(/^HTTP\/1\.1 200 [^\r]*\r\n\r\nearly late$/);
    expect(rig.routed).toEqual([`${kubelet} dial`]);
  });

  test.each([
    ['none', undefined],
    ['a wrong password', basic(`${proxyUser}:${password}x`)],
    ['another user', basic(`admin:${password}`)],
    ['another scheme', `Bearer ${password}`],
    ['no base64', 'Basic ####'],
  ])('credentials: %s: 407', async (_case, credentials) => {
    const routed = rig.routed.length;
    const received = await exchange(request(`edge-1:${target.port}`, credentials));
    expect(received).toMatch(/^HTTP\/1\.1 407 /);
    expect(received).toContain('Proxy-Authenticate: Basic');
    expect(rig.routed).toHaveLength(routed);
  });

  test.each([
    ['127.0.0.1', 403, '127.0.0.1 is an address: kubelets are reached by node name only'],
    ['[::1]', 403, '::1 is an address'],
    ['192.168.77.10', 403, '192.168.77.10 is an address'],
    ['edge-2', 503, 'node edge-2 has no tunnel'],
    ['a/b', 400, 'malformed'],
  ])('the host %s: %d %s', async (host, status, reason) => {
    const received = await exchange(request(`${host}:${target.port}`, right));
    expect(received.startsWith(`HTTP/1.1 ${status} ${reason}`), received).toBe(true);
  });

  test('no port but the kubelet’s', async () => {
    const received = await exchange(request('edge-1:22', right));
    expect(received).toMatch(/^HTTP\/1\.1 403 port 22 of edge-1 is not the kubelet's \(\d+\)/);
  });

  test('says what is wrong once, and never the password', async () => {
    for (let round = 0; round < 3; round += 1) await exchange(request('10.9.9.9:1', right));
    expect(rig.log().split('10.9.9.9 is an address')).toHaveLength(2);
    expect(rig.log()).not.toContain(password);
    expect(rig.log()).not.toContain(right.slice('Basic '.length));
  });
});
