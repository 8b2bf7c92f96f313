import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiEndpointTimings } from '../../../src/api-endpoint/types.ts';
import { waitFor } from '../../../src/base/time.ts';
import { quickest } from '../../support/quickest.ts';
import { createRig, impatient, type Rig } from './harness.ts';

/** Servers that hang: they accept connections and say nothing. */
let rig: Rig;
beforeEach(async () => {
  rig = await createRig();
});
afterEach(() => rig.cleanUp());

const [halfRequest, otherHalf] = ['GET /who HTTP/1.1\r\n', 'Host: kubernetes\r\n\r\n'];

test('one that froze a moment ago delays a new connection for less than a second', async () => {
  const delayMs = async () => {
    const { endpoint, used, other } = await twoServers({ ...impatient, firstAnswerMs: 200 });
    used.freeze();
    const startedAt = performance.now();
    expect(await endpoint.ask()).toBe(other.name);
    const tookMs = performance.now() - startedAt;
    expect(endpoint.status()).toMatchObject({ chosen: other.address, refusedConnections: 0 });
    await endpoint.waitHealth(used.address, 'dead');
    return tookMs;
  };
  expect(await quickest(delayMs, 1_000)).toBeLessThan(1_000);
});

test('one that hangs up without a word costs nobody a connection', async () => {
  const { endpoint, used, other } = await twoServers();
  used.hangUp();
  expect(await endpoint.ask()).toBe(other.name);
  expect(endpoint.status()).toMatchObject({ refusedConnections: 0 });
});

test('one that goes away before it has answered costs nobody a connection', async () => {
  const { endpoint, used, other } = await twoServers();
  used.freeze();
  const before = used.connections();
  const answer = endpoint.ask();
  await waitFor(() => used.connections() > before, {
    subject: 'the connection',
    timeoutMs: 20_000,
  });
  await used.kill();
  expect(await answer).toBe(other.name);
});

test('one that is silent to a request is looked at at once, and cut when it is dead', async () => {
  const { endpoint, used, other } = await twoServers({ ...impatient, silenceMs: 100 });
  const held = await endpoint.connect();
  const isCut = closed(held);
  used.freeze();
  held.write(`${halfRequest}${otherHalf}`);
  expect(await isCut).toBe(true);
  expect(endpoint.status()).toMatchObject({ cutConnections: 1 });
  expect(endpoint.status().chosen).toBe(other.address);
});

test('one that answers a request late is asked how it is, and keeps its connections', async () => {
  const { endpoint, used } = await twoServers({ silenceMs: 100 });
  const held = await endpoint.connect();
  const checks = used.checks();
  held.write(`${halfRequest}${otherHalf}`);
  expect(await answerTo(held)).toContain('200 OK');
  // The server is well, and has nothing to say yet.
  held.write(halfRequest);
  await waitFor(() => used.checks() > checks, { subject: 'a look at it', timeoutMs: 20_000 });
  await endpoint.waitHealth(used.address, 'healthy');
  held.write(otherHalf);
  expect(await answerTo(held)).toContain('200 OK');
  expect(endpoint.status().cutConnections).toBe(0);
});

test('the only one is not asked how it is when it is slow', async () => {
  const a = await rig.serve('a');
  const endpoint = await rig.balance({
    servers: [a.address],
    timings: { ...unwatched, silenceMs: 20, firstAnswerMs: 20 },
  });
  await endpoint.waitHealth(a.address, 'healthy');
  const held = await endpoint.connect();
  const checks = a.checks();
  held.write(`${halfRequest}${otherHalf}`);
  expect(await answerTo(held)).toContain('200 OK');
  held.write(halfRequest);
  // Far longer than the silence: the answer to others shows that time goes on.
  for (let i = 0; i < 20; i += 1) expect(await endpoint.ask()).toBe('a');
  expect(a.checks()).toBe(checks);
});

/** Two that are well, and which of them is used. Nobody looks at them again without a reason. */
async function twoServers(timings: Partial<ApiEndpointTimings> = {}) {
  const servers = [await rig.serve('a'), await rig.serve('b')] as const;
  const endpoint = await rig.balance({
    servers: servers.map(({ address }) => address),
    timings: { ...unwatched, ...timings },
  });
  for (const { address } of servers) await endpoint.waitHealth(address, 'healthy');
  const [a, b] = servers;
  const [used, other] = (await endpoint.ask()) === 'a' ? [a, b] : [b, a];
  // On a loaded machine the first that was asked may have been slow, and is looked at again.
  for (const { address } of servers) await endpoint.waitHealth(address, 'healthy');
  return { endpoint, used, other };
}

const unwatched = { idleIntervalMs: 600_000 };

const closed = (socket: Socket) =>
  new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));

const answerTo = (socket: Socket) =>
  new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
