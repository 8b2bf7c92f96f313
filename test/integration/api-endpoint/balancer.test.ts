import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { initialHealth, rankServers } from '../../../src/api-endpoint/server-health.ts';
import { proxySettingsFrom } from '../../../src/base/proxy-settings.ts';
import { waitFor } from '../../../src/base/time.ts';
import { freePorts } from '../../support/free-ports.ts';
import { startHttpProxy } from '../../support/http-proxy.ts';
import { quickest } from '../../support/quickest.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import { createRig, impatient, type Rig, silentHost } from './harness.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await createRig();
});
afterEach(() => rig.cleanUp());

const closed = (socket: Socket) =>
  new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));

/** Milliseconds that something takes. */
async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now();
  const value = await work();
  return { value, ms: performance.now() - startedAt };
}

describe('with several API servers', () => {
  test('stays with one of them, and says which', async () => {
    const servers = [await rig.serve('a'), await rig.serve('b'), await rig.serve('c')];
    const endpoint = await rig.balance({ servers: servers.map(({ address }) => address) });
    for (const { address } of servers) await endpoint.waitHealth(address, 'healthy');
    const answers = new Set<string>();
    for (let i = 0; i < 10; i += 1) answers.add(await endpoint.ask());
    expect(answers.size).toBe(1);
    const chosen = servers.find(({ address }) => address === endpoint.status().chosen);
    expect([...answers]).toEqual([chosen?.name]);
    expect(endpoint.status()).toMatchObject({
      listening: [`127.0.0.1:${endpoint.port()}`],
      acceptedConnections: 10,
      refusedConnections: 0,
    });
  });

  test('nodes spread over them', async () => {
    const servers = [await rig.serve('a'), await rig.serve('b'), await rig.serve('c')];
    const addresses = servers.map(({ address }) => address);
    const answers = new Set<string>();
    // Ports differ from run to run, and so does who prefers whom: 12 nodes would leave one out in 2 of 100 runs.
    for (let i = 0; i < 40; i += 1) {
      // They all stay until the end: looking as often as in other tests they would find each other's servers slow.
      const timings = { idleIntervalMs: 600_000 };
      const endpoint = await rig.balance({ servers: addresses, seed: `edge-${i}`, timings });
      for (const { address } of servers) await endpoint.waitHealth(address, 'healthy');
      answers.add(await endpoint.ask());
      // Forty that go on looking at three servers leave the machine no time for a forty-first.
      await endpoint.stop();
    }
    expect(answers.size).toBe(3);
  });

  test('a killed one costs its connections and no new one', async () => {
    const askAfterKillMs = async () => {
      const [a, b] = [await rig.serve('a'), await rig.serve('b')];
      const endpoint = await rig.balance({ servers: [a.address, b.address] });
      for (const { address } of [a, b]) await endpoint.waitHealth(address, 'healthy');
      const first = await endpoint.ask();
      const [used, other] = first === 'a' ? [a, b] : [b, a];
      const held = await endpoint.connect();
      const isCut = closed(held);
      await used.kill();
      const { value, ms } = await timed(() => endpoint.ask());
      expect(value).toBe(other.name);
      expect(await isCut).toBe(true);
      await endpoint.waitHealth(used.address, 'dead');
      expect(endpoint.status().chosen).toBe(other.address);
      return ms;
    };
    expect(await quickest(askAfterKillMs, 1_000)).toBeLessThan(1_000);
  });

  test('one that is silent on the network delays the first connection for less than a second', async () => {
    const b = await rig.serve('b');
    // Not looked at yet: as when a machine has just been switched off.
    const timings = { ...impatient, checkDialTimeoutMs: 20_000 };
    const servers = [`${silentHost}:6443`, b.address] as const;
    const seed = seedThatPrefers(...servers);
    const askMs = async () => {
      const endpoint = await rig.balance({ servers, seed, timings });
      const { value, ms } = await timed(() => endpoint.ask());
      expect(value).toBe('b');
      return ms;
    };
    expect(await quickest(askMs, 1_000)).toBeLessThan(1_000);
  });

  test('connections to one that is frozen are cut, so that clients go elsewhere', async () => {
    const [a, b] = [await rig.serve('a'), await rig.serve('b')];
    const endpoint = await rig.balance({ servers: [a.address, b.address], timings: impatient });
    for (const { address } of [a, b]) await endpoint.waitHealth(address, 'healthy');
    const used = (await endpoint.ask()) === 'a' ? a : b;
    const held = await endpoint.connect();
    const isCut = closed(held);
    used.freeze();
    expect(await isCut).toBe(true);
    expect(endpoint.status().cutConnections).toBe(1);
    expect(await endpoint.ask()).toBe(used === a ? 'b' : 'a');
    used.thaw();
    await endpoint.waitHealth(used.address, 'healthy');
    // It comes back as a second choice: nothing moves without need.
    expect(endpoint.status().chosen).not.toBe(used.address);
  });

  test.each([503, 'silent'] as const)(
    '/readyz %s sends new connections elsewhere and cuts none',
    async (readyz) => {
      const [a, b] = [await rig.serve('a'), await rig.serve('b')];
      const endpoint = await rig.balance({ servers: [a.address, b.address], timings: impatient });
      for (const { address } of [a, b]) await endpoint.waitHealth(address, 'healthy');
      const used = (await endpoint.ask()) === 'a' ? a : b;
      const held = await endpoint.connect();
      let isCut = false;
      held.once('close', () => {
        isCut = true;
      });
      used.setReadyz(readyz);
      await endpoint.waitHealth(used.address, 'not-ready');
      expect(await endpoint.ask()).toBe(used === a ? 'b' : 'a');
      const checks = used.checks();
      await waitFor(() => used.checks() >= checks + 3, { subject: 'checks', timeoutMs: 20_000 });
      expect(isCut).toBe(false);
      expect(endpoint.status().cutConnections).toBe(0);
    },
  );

  test('one that is not ready is still better than none', async () => {
    const a = await rig.serve('a');
    a.setReadyz(500);
    const endpoint = await rig.balance({ servers: [a.address] });
    await endpoint.waitHealth(a.address, 'not-ready');
    expect(await endpoint.ask()).toBe('a');
  });

  test('one of another cluster is never chosen while there is a real one', async () => {
    const impostor = await rig.serve('impostor', { authority: createTestAuthority('other') });
    const b = await rig.serve('b');
    const endpoint = await rig.balance({ servers: [impostor.address, b.address] });
    await endpoint.waitHealth(impostor.address, 'untrusted');
    expect(endpoint.status().servers[0]?.lastError).toMatch(
      /TLS with 127.0.0.1:\d+ failed: .*cert/i,
    );
    for (let i = 0; i < 5; i += 1) expect(await endpoint.ask()).toBe('b');
  });
});

describe('without any API server', () => {
  test('a connection is reset at once, and one that comes back is found', async () => {
    const [port = 0] = await freePorts(1);
    const a = await rig.serve('a', { port });
    await a.kill();
    const endpoint = await rig.balance({ servers: [a.address] });
    await endpoint.waitHealth(a.address, 'dead');
    let asked = 0;
    const refusalMs = async () => {
      asked += 1;
      const { value, ms } = await timed(() => endpoint.ask());
      expect(value).toBe('ECONNRESET');
      return ms;
    };
    expect(await quickest(refusalMs, 500)).toBeLessThan(500);
    expect(endpoint.status().refusedConnections).toBe(asked);
    await rig.serve('a', { port: a.port });
    expect(await endpoint.ask()).toBe('a');
    await endpoint.waitHealth(a.address, 'healthy');
  });

  test('silence of all is not waited for longer than a second, once it is known', async () => {
    const servers = [`${silentHost}:6443`, `${silentHost}:6444`];
    const endpoint = await rig.balance({ servers, timings: impatient });
    for (const server of servers) await endpoint.waitHealth(server, 'dead');
    const refusalMs = async () => {
      const { value, ms } = await timed(() => endpoint.ask());
      expect(value).toBe('ECONNRESET');
      return ms;
    };
    expect(await quickest(refusalMs, 1_500)).toBeLessThan(1_500);
  });

  test('no server in the list at all', async () => {
    const endpoint = await rig.balance({ servers: [] });
    expect(await endpoint.ask()).toBe('ECONNRESET');
  });

  test('connections to the only one are left to TCP for a while, then cut', async () => {
    const a = await rig.serve('a');
    const patient = await rig.balance({ servers: [a.address], timings: impatient });
    const timings = { ...impatient, lonePatienceMs: 200 };
    const hasty = await rig.balance({ servers: [a.address], timings });
    const [held, cut] = [await patient.connect(), await hasty.connect()];
    const isCut = closed(cut);
    a.freeze();
    await patient.waitHealth(a.address, 'dead');
    expect(await isCut).toBe(true);
    expect(held.closed).toBe(false);
  });
});

describe('the list of API servers', () => {
  test('learned ones are used beside the configured, and survive a restart', async () => {
    const [a, b] = [await rig.serve('a'), await rig.serve('b')];
    const first = await rig.balance({ servers: [a.address] });
    first.update([b.address, 'nonsense', b.address]);
    await first.waitHealth(b.address, 'healthy');
    await first.stop();
    expect(JSON.parse(await readFile(rig.learnedFile, 'utf8'))).toEqual({
      version: 1,
      servers: [b.address],
    });
    await a.kill();
    // Offline since boot: nobody told this one about b.
    const second = await rig.balance({ servers: [a.address] });
    expect(await second.ask()).toBe('b');
    expect(second.status().servers).toMatchObject([
      { address: a.address, origin: 'configured' },
      { address: b.address, origin: 'learned' },
    ]);
  });

  test('an empty list is no news; one that left is used no more, but its connections go on', async () => {
    const [a, b] = [await rig.serve('a'), await rig.serve('b')];
    const endpoint = await rig.balance({ servers: [] });
    endpoint.update([a.address]);
    await endpoint.waitHealth(a.address, 'healthy');
    endpoint.update([]);
    expect(await endpoint.ask()).toBe('a');
    const held = await endpoint.connect();
    endpoint.update([b.address]);
    await endpoint.waitHealth(b.address, 'healthy');
    expect(await endpoint.ask()).toBe('b');
    expect(held.closed).toBe(false);
    held.destroy();
    await waitFor(() => endpoint.status().servers.length === 1, {
      subject: 'the server to be forgotten',
      timeoutMs: 20_000,
    });
  });

  test('configured ones are never forgotten, whatever the API names', async () => {
    const [port = 0] = await freePorts(1);
    const [a, b] = [await rig.serve('a', { port }), await rig.serve('b')];
    const endpoint = await rig.balance({ servers: [a.address] });
    endpoint.update([b.address]);
    await endpoint.waitHealth(b.address, 'healthy');
    endpoint.update([`${silentHost}:6443`]);
    endpoint.update([b.address]);
    await a.kill();
    await endpoint.waitHealth(a.address, 'dead');
    expect(await endpoint.ask()).toBe('b');
    await b.kill();
    await endpoint.waitHealth(b.address, 'dead');
    await rig.serve('a', { port: a.port });
    // While all are dead: whoever comes back is found.
    await endpoint.waitHealth(a.address, 'healthy');
    expect(await endpoint.ask()).toBe('a');
    expect(endpoint.status().servers[0]).toMatchObject({ origin: 'configured' });
  });

  test('a name is asked for again when its address changes, by clients and checks alike', async () => {
    const [port = 0] = await freePorts(1);
    const a = await rig.serve('a', { port });
    const name = `api.example.test:${a.port}`;
    let now = '127.0.0.1';
    const endpoint = await rig.balance({
      servers: [name],
      resolve: (_name, callback) => callback({ addresses: [{ address: now, family: 4 }] }),
    });
    await endpoint.waitHealth(name, 'healthy');
    expect(await endpoint.ask()).toBe('a');
    await a.kill();
    await endpoint.waitHealth(name, 'dead');
    await rig.serve('b', { host: '127.0.0.5', port: a.port });
    now = '127.0.0.5';
    expect(await endpoint.ask()).toBe('b');
    await endpoint.waitHealth(name, 'healthy');
  });

  test('a damaged file is as good as none', async () => {
    const a = await rig.serve('a');
    await writeFile(rig.learnedFile, '{"servers": [1, "x:y"');
    const endpoint = await rig.balance({ servers: [a.address] });
    expect(await endpoint.ask()).toBe('a');
  });

  test('a name is one of the addresses that it has now', async () => {
    const a = await rig.serve('a');
    const endpoint = await rig.balance({ servers: [`localhost:${a.port}`] });
    await endpoint.waitHealth(`localhost:${a.port}`, 'healthy');
    expect(await endpoint.ask()).toBe('a');
  });

  test('servers are reached and looked at through a proxy', async () => {
    const a = await rig.serve('a');
    const target = 'api.example.test:6443';
    const proxy = await startHttpProxy({ routes: { [target]: a.port } });
    try {
      const settings = proxySettingsFrom({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
      const endpoint = await rig.balance({ servers: [target], proxy: settings });
      await endpoint.waitHealth(target, 'healthy');
      expect(await endpoint.ask()).toBe('a');
      expect(new Set(proxy.targets)).toEqual(new Set([target]));
    } finally {
      await proxy.close();
    }
  });
});

describe('the listener', () => {
  test('a port that is taken is said so', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(rig.balance({ port })).rejects.toThrow(
      new RegExp(`Cannot offer the API on 127.0.0.1:${port}: .*EADDRINUSE`),
    );
    other.close();
  });

  test('further addresses have the same port, also after a restart', async () => {
    const a = await rig.serve('a');
    const endpoint = await rig.balance({ servers: [a.address] });
    endpoint.addListenAddress('127.0.0.2');
    endpoint.addListenAddress('127.0.0.2');
    const isListening = () => endpoint.status().listening.length === 2;
    await waitFor(isListening, {
      subject: 'the second listener',
      timeoutMs: 20_000,
      intervalMs: 10,
    });
    expect(await endpoint.ask('127.0.0.2')).toBe('a');
    await endpoint.stop();
    expect(endpoint.status().listening).toEqual([]);
    const again = await endpoint.start(new AbortController().signal);
    await waitFor(isListening, {
      subject: 'the second listener',
      timeoutMs: 20_000,
      intervalMs: 10,
    });
    await again.stop();
  });

  test('an address that is taken for now is opened when it is free', async () => {
    const a = await rig.serve('a');
    const endpoint = await rig.balance({ servers: [a.address] });
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(endpoint.port(), '127.0.0.3', resolve));
    endpoint.addListenAddress('127.0.0.3');
    other.close();
    await waitFor(() => endpoint.status().listening.length === 2, {
      subject: 'the second listener',
      timeoutMs: 20_000,
    });
  });

  test('a stop resets what is open and leaves nothing', async () => {
    const a = await rig.serve('a');
    const endpoint = await rig.balance({ servers: [a.address] });
    const held = await endpoint.connect();
    const isCut = closed(held);
    await endpoint.stop();
    expect(await isCut).toBe(true);
    expect(endpoint.status().activeConnections).toBe(0);
    await waitFor(() => a.connections() === 0, { subject: 'no connection', timeoutMs: 20_000 });
  });
});

/** The order among equals is the seed's. */
function seedThatPrefers(first: string, second: string): string {
  for (let i = 0; i < 100; i += 1) {
    const seed = `seed-${i}`;
    const [one] = rankBySeed([first, second], seed);
    if (one === first) return seed;
  }
  throw new Error('no such seed');
}

function rankBySeed(names: readonly string[], seed: string): string[] {
  const servers = names.map((name) => ({ name, state: initialHealth(0) }));
  return rankServers(servers, { inUse: undefined, seed }).map(({ name }) => name);
}
