import { spawnSync } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { createTunnelServer } from '../../../src/tunnel/tunnel-server.ts';
import { type Client, closedAfterEach, connectTo, dialLoopback, established } from './harness.ts';

const { closers, harness, target, open } = closedAfterEach();
const toPort = (_host: string, port: number) => dialLoopback(port);
const until = (subject: string, probe: () => boolean, describe?: () => string) =>
  waitFor(probe, { subject, timeoutMs: 20_000, intervalMs: 5, ...(describe ? { describe } : {}) });
const text = (client: Client) => client.received.toString('latin1');

describe('case 12: the socket', () => {
  const create = (socketPath: string) =>
    createTunnelServer({
      socketPath,
      routes: { route: toPort },
      logger: silentLogger,
      clock: systemClock,
    });

  it('is 0600 in a 0700 directory, and gone after stop', async () => {
    const { socketPath, running, tunnel } = await harness(toPort);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(socketPath))).mode & 0o777).toBe(0o700);
    expect(tunnel.status().isListening).toBe(true);
    await running.stop();
    await running.stop();
    expect(await running.terminated).toMatchObject({ reason: 'Stopped' });
    expect(tunnel.status().isListening).toBe(false);
    await expect(stat(socketPath)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('replaces a stale file, and nothing else', async () => {
    const { socketPath, directory } = await harness(toPort);
    const signal = AbortSignal.timeout(60_000);
    await expect(create(socketPath).start(signal)).rejects.toThrow(/another process listens there/);
    const plain = path.join(directory, 'plain');
    await writeFile(plain, '');
    await expect(create(plain).start(signal)).rejects.toThrow(/not a socket/);
    await expect(create(`${directory}/${'x'.repeat(100)}`).start(signal)).rejects.toThrow(/107/);
    const shared = path.join(directory, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o777);
    await expect(create(path.join(shared, 's')).start(signal)).rejects.toThrow(/written by others/);

    const stale = path.join(directory, 'stale.sock');
    await leaveStaleSocket(stale);
    const running = await create(stale).start(signal);
    closers.push(() => running.stop());
    const client = await open(stale, 'GET / HTTP/1.1\r\n\r\n');
    await until('an answer', () => text(client).startsWith('HTTP/1.1 405'));
  });

  it('ends its streams when it stops', async () => {
    const silent = await target(() => {});
    const { socketPath, running } = await harness(toPort);
    const client = await open(socketPath, `${connectTo('a', silent.port)}x`);
    await until('200', () => text(client) === established);
    await running.stop();
    await until('the end', () => client.hasEnded || client.socket.destroyed);
    await until('no connection', () => silent.sockets.size === 0);
  });
});

/** What a killed process leaves: a socket file on which nobody listens. */
async function leaveStaleSocket(file: string): Promise<void> {
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script, file]);
  expect((await stat(file)).isSocket()).toBe(true);
}
