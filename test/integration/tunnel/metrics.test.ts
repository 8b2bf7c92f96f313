import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { apiEndpointFamilies } from '../../../src/api-endpoint/metrics.ts';
import { renderExposition } from '../../../src/base/exposition.ts';
import { systemClock } from '../../../src/base/time.ts';
import { statusServer } from '../../../src/node/status-server.ts';
import { renderTunnelMetrics } from '../../../src/tunnel/metrics.ts';
import { buildGoProgram } from '../../support/go/build-go-program.ts';
import { text, tunnelRig, until, untilConnected } from './agent-rig.ts';
import { connectTo, established } from './harness.ts';

const rig = tunnelRig();

/** What Prometheus' own parser makes of a text. */
type Families = Readonly<Record<string, { readonly metric: readonly Sample[] }>>;

interface Sample {
  readonly label?: readonly { readonly name: string; readonly value: string }[];
  readonly counter?: { readonly value: number };
  readonly gauge?: { readonly value: number };
  readonly histogram?: { readonly sample_count: string };
}

test('both ends of a tunnel say what happened, as Prometheus reads it', async () => {
  const parser = await buildGoProgram('exposition-parser', AbortSignal.timeout(170_000));
  const echo = await rig.target((socket) => socket.pipe(socket));
  const controller = await rig.controller();
  const { agent } = await rig.agent('edge-1', [controller.address], { kubeletPort: echo.port });
  await untilConnected(controller, 'edge-1');
  await until('a round trip', () => controller.sessions.status()[0]?.rttMs !== undefined);
  const good = await rig.open(controller.socketPath, `${connectTo('edge-1', echo.port)}hello`);
  await until('the echo', () => text(good) === `${established}hello`);
  const bad = await rig.open(controller.socketPath, connectTo('edge-7', 10250));
  await until('the refusal', () => bad.hasEnded);
  const forbidden = await rig.open(controller.socketPath, connectTo('edge-1', 2379));
  await until('the refusal', () => forbidden.hasEnded);
  // The refused stream is over, and nothing is on its way between the two ends: they are read in one moment.
  await until('both ends to have counted the same', () => {
    const [node] = controller.sessions.status();
    const [link] = agent.status().controllers;
    return node?.streams === 1 && node.bytesToNode === link?.bytesReceived;
  });
  const serverText = renderTunnelMetrics(controller.tunnel.status(), controller.metrics.read());
  const workerText = renderExposition(agent.metrics());
  const server = parse(parser, await scrape(() => serverText));
  expect(valueAt(server, 'ready_backends', {})).toBe(1);
  expect(valueAt(server, 'established_connections', {})).toBe(1);
  expect(valueAt(server, 'streams', { node: 'edge-1' })).toBe(1);
  expect(valueAt(server, 'sessions', { node: 'edge-1' })).toBe(1);
  expect(valueAt(server, 'bytes_total', { node: 'edge-1', direction: 'to_node' })).toBeGreaterThan(
    5,
  );
  expect(valueAt(server, 'rtt_seconds', { node: 'edge-1' })).toBeGreaterThan(0);
  expect(valueAt(server, 'routing_decisions_total', { rule: 'agent' })).toBe(3);
  expect(valueAt(server, 'dial_failure_count', { reason: 'no-session' })).toBe(1);
  expect(valueAt(server, 'dial_duration_seconds', { kind: 'agent', result: 'ok' })).toBe(1);
  expect(valueAt(server, 'stalled_streams', {})).toBe(0);

  const worker = parse(parser, await scrape(() => workerText));
  expect(valueAt(worker, 'agent_open_server_connections', {})).toBe(1);
  expect(valueAt(worker, 'agent_open_endpoint_connections', {})).toBe(1);
  expect(valueAt(worker, 'agent_dial_duration_seconds', { kind: 'local', result: 'ok' })).toBe(1);
  expect(valueAt(worker, 'agent_refused_streams_total', {})).toBe(1);
  const way = { controller: controller.address, direction: 'from_controller' };
  expect(valueAt(worker, 'agent_bytes_total', way)).toBe(
    valueAt(server, 'bytes_total', { node: 'edge-1', direction: 'to_node' }),
  );
});

test('the balancer, and names that need escaping, are of the format', async () => {
  const parser = await buildGoProgram('exposition-parser', AbortSignal.timeout(170_000));
  const status = { listening: [], activeConnections: 0, acceptedConnections: 1 };
  const address = 'q"\\\n:6443';
  const server = {
    address,
    origin: 'learned',
    health: 'healthy',
    since: 0,
    connections: 2,
  } as const;
  const families = apiEndpointFamilies({
    ...{ ...status, refusedConnections: 0, cutConnections: 0 },
    servers: [server],
  });
  const parsed = parse(parser, renderExposition(families));
  expect(Object.keys(parsed)).toHaveLength(5);
  expect(parsed['mini_k8s_api_endpoint_connections']?.metric).toEqual([
    { label: [{ name: 'server', value: address }], gauge: { value: 2 } },
  ]);
});

/** `curl --unix-socket …/status.sock http://localhost/metrics`. */
async function scrape(renderMetrics: () => string): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-metrics-'));
  const socketPath = path.join(directory, 'status.sock');
  const unused = () => Promise.reject(new Error('not asked for'));
  const component = statusServer({
    ...{ socketPath, clock: systemClock, renderMetrics },
    readStatus: unused,
    reload: unused,
  });
  const running = await component.start(AbortSignal.timeout(60_000));
  try {
    return await get(socketPath);
  } finally {
    await running.stop();
    await rm(directory, { recursive: true });
  }
}

function get(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/metrics' }, (response) => {
      expect(response.statusCode).toBe(200);
      expect(response.headers['content-type']).toContain('version=0.0.4');
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    });
    outgoing.on('error', reject).end();
  });
}

/** Throws with the parser's words when it is not of the format. */
function parse(parser: string, exposition: string): Families {
  const { status, stdout, stderr } = spawnSync(parser, { input: exposition, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${stderr}\n${exposition}`);
  return JSON.parse(stdout) as Families;
}

/** Of the one sample with these labels; of a histogram, how many were observed. */
function valueAt(
  families: Families,
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  const wanted = Object.entries(labels);
  const samples = families[`mini_k8s_tunnel_${name}`]?.metric ?? [];
  const found = samples.filter(({ label = [] }) => {
    const has = new Map(label.map((each) => [each.name, each.value]));
    return has.size === wanted.length && wanted.every(([key, value]) => has.get(key) === value);
  });
  const [sample] = found;
  if (sample === undefined || found.length > 1) {
    throw new Error(`${found.length} of ${name} ${JSON.stringify([labels, samples])}`);
  }
  const value = sample.counter?.value ?? sample.gauge?.value ?? sample.histogram?.sample_count;
  if (value === undefined) throw new Error(JSON.stringify(sample));
  return Number(value);
}
