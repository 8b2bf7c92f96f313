import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../../src/base/time.ts';
import type { YamuxStream } from '../../../../src/tunnel/yamux/types.ts';
import {
  type Connection,
  type ConnectOptions,
  expectNothingLeft,
  type GoPeer,
  pattern,
  readAll,
  sha256,
  startGoPeer,
} from './go-peer.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

let peer: GoPeer;
beforeAll(async () => {
  peer = await startGoPeer();
});
afterAll(async () => {
  await peer.stop();
});

const carriers = [
  { role: 'server', isTls: true },
  { role: 'client', isTls: true },
  { role: 'server', isTls: false },
  { role: 'client', isTls: false },
] as const;

/** Sends the pattern while the peer does the same; both report what they got. */
async function exchange(connection: Connection, bytes: number): Promise<void> {
  const stream = connection.command(`exchange ${bytes}`);
  const answer = readAll(stream);
  stream.end(pattern(bytes));
  const got = await answer;
  expect(got.subarray(0, bytes).equals(pattern(bytes))).toBe(true);
  expect(got.subarray(bytes).toString()).toBe(sha256(pattern(bytes)));
}

describe.each(carriers)('as yamux $role, TLS: $isTls, with hashicorp/yamux', (carrier) => {
  const connect = (options: Partial<ConnectOptions> = {}) =>
    peer.connect({ ...carrier, ...options });

  test('8 streams of bulk in both directions at once', async () => {
    const connection = await connect({ peer: { windowBytes: 1 * MiB } });
    await Promise.all(Array.from({ length: 8 }, () => exchange(connection, 6 * MiB)));
    await expectNothingLeft(connection);
  });

  // Less than two loopback packets would only measure TCP's timers.
  test('32 streams of bulk in both directions through tiny socket buffers', async () => {
    const connection = await connect({ peer: { bufferBytes: 64 * KiB } });
    await Promise.all(Array.from({ length: 32 }, () => exchange(connection, 512 * KiB)));
    await expectNothingLeft(connection);
  });

  test('500 small streams, 50 at a time, opened by us and by the peer', async () => {
    const connection = await connect();
    const theirs = connection.ask('open 200 300');
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 50 }, () => exchange(connection, 300)));
    }
    expect(await theirs).toBe('ok');
    await expectNothingLeft(connection);
  });

  test('bulk on streams that the peer opens', async () => {
    const connection = await connect();
    expect(await connection.ask(`open 8 ${2 * MiB}`)).toBe('ok');
    await expectNothingLeft(connection);
  });

  test('1000 streams at once: the peer is never sent more than it accepts', async () => {
    const connection = await connect();
    await Promise.all(Array.from({ length: 1000 }, () => exchange(connection, 100)));
    await expectNothingLeft(connection);
  });

  test('either side may end its half first and read on', async () => {
    const connection = await connect();
    const question = connection.command('hash');
    question.end(pattern(700 * KiB));
    expect((await readAll(question)).toString()).toBe(sha256(pattern(700 * KiB)));

    const source = connection.command(`source-then-hash ${700 * KiB}`);
    expect((await readAll(source)).equals(pattern(700 * KiB))).toBe(true);
    expect(source.writable).toBe(true);
    const before = connection.accepted.length;
    source.end(pattern(900 * KiB));
    await waitFor(() => connection.accepted.length > before, {
      subject: 'the report on what was sent after the end',
      timeoutMs: 20_000,
      intervalMs: 10,
    });
    const report = connection.accepted[before] as YamuxStream;
    await waitFor(() => report.bytesRead === 64, { subject: 'the report', timeoutMs: 20_000 });
    await expectNothingLeft(connection);
  });

  test('a stream nobody has read from yet is acknowledged within the time the peer allows', async () => {
    const connection = await connect({
      peer: { openTimeoutMs: 1_500 },
      session: { onStream: (stream) => void setTimeout(() => stream.pipe(stream), 2_000) },
    });
    expect(await connection.ask('open 3 1000')).toBe('ok');
    await expectNothingLeft(connection);
  });

  test("the peer's RST is ECONNRESET", async () => {
    const connection = await connect({ peer: { closeTimeoutMs: 100 } });
    const stream = connection.command('close');
    stream.resume();
    const [error] = await once(stream, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    await expectNothingLeft(connection);
  });

  test('a burst of 2000 aborted streams leaves the session and the others alone', async () => {
    const connection = await connect();
    const lively = exchange(connection, 2 * MiB);
    const aborted = Array.from({ length: 2000 }, (_, index) => {
      const stream = connection.command(index % 2 === 0 ? 'echo' : 'exchange 100000');
      stream.write(pattern(2000));
      if (index % 3 === 0) stream.resetAndDestroy();
      return stream;
    });
    for (const stream of aborted) stream.destroy();
    await lively;
    await exchange(connection, 100 * KiB);
    await expectNothingLeft(connection);
  });

  test('100 stalled readers on each side do not hold up another stream', async () => {
    const connection = await connect();
    const stalled: YamuxStream[] = [];
    for (let count = 0; count < 100; count += 1) {
      const theirs = connection.command('stall');
      theirs.write(Buffer.alloc(1 * MiB));
      const ours = connection.command(`exchange ${1 * MiB}`);
      ours.pause();
      stalled.push(theirs, ours);
    }
    await waitFor(
      () => stalled.every(({ bytesRead, bytesWritten }) => bytesRead + bytesWritten > 0),
      {
        subject: 'all to have begun',
        timeoutMs: 20_000,
      },
    );
    const echo = connection.command('echo');
    for (let turn = 0; turn < 50; turn += 1) {
      echo.write('ping');
      const [answer] = await once(echo, 'data', { signal: AbortSignal.timeout(60_000) });
      expect(String(answer)).toBe('ping');
    }
    echo.end();
    await exchange(connection, 1 * MiB);
    for (const stream of stalled) stream.destroy();
    await expectNothingLeft(connection);
  });

  test('pings and keep-alives both ways', async () => {
    const connection = await connect({
      peer: { keepAliveMs: 20 },
      session: { pingIntervalMs: 20, deadAfterMs: 20_000 },
    });
    expect(await connection.ask('ping')).toBe('ok');
    const { lastFrameAtMs } = connection.session.stats();
    await waitFor(() => connection.session.stats().lastFrameAtMs > lastFrameAtMs + 200, {
      subject: 'some keep-alives',
      timeoutMs: 20_000,
      intervalMs: 10,
    });
    expect(connection.session.stats().rttMs).toBeGreaterThan(0);
    await expectNothingLeft(connection);
  });

  test("the peer's GOAWAY lets our streams finish and takes no new ones", async () => {
    const connection = await connect();
    const echo = connection.command('echo');
    expect(await connection.ask('goaway')).toBe('ok');
    expect(connection.session.isOpen).toBe(false);
    expect(() => connection.session.openStream()).toThrow('draining');
    echo.end('last words');
    expect((await readAll(echo)).toString()).toBe('last words');
    connection.session.drain();
    expect((await connection.session.ended).cause).toBe('closed');
  });

  test('our GOAWAY lets its streams finish and resets new ones', async () => {
    const connection = await connect();
    const echo = connection.command('echo');
    await waitFor(() => connection.session.stats().rttMs, { subject: 'a pong', timeoutMs: 20_000 });
    const opening = connection.command('open 1 100000');
    connection.session.drain();
    echo.end('last words');
    expect((await readAll(echo)).toString()).toBe('last words');
    expect((await readAll(opening)).toString()).not.toBe('');
    opening.end();
    expect((await connection.session.ended).message).toBe('drained');
  });

  test('a peer that vanishes ends the session and every stream', async () => {
    const connection = await connect();
    const stream = connection.command('echo');
    const failure = once(stream, 'error');
    connection.socket.destroy();
    expect((await failure)[0]).toMatchObject({ code: 'ECONNRESET' });
    expect((await connection.session.ended).cause).toBe('transport');
    expect(connection.session.stats().streams).toBe(0);
  });
});
