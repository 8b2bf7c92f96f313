import { createServer as createHttpsServer } from 'node:https';
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { executableArtifact, imageArtifact } from '../../../src/artifacts/catalog.ts';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import type { ArtifactSource, ArtifactSpec } from '../../../src/artifacts/types.ts';
import { systemClock } from '../../../src/base/time.ts';
import { artifactSources } from '../../../src/node/artifact-sources.ts';
import type { Patience } from '../../../src/node/dial-outside.ts';
import type { NodeEvent } from '../../../src/node/events.ts';
import { openBlackHole } from '../../support/black-hole.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import { emptyStore, neverAborted, temporaryFolder } from '../artifacts/bundle-fixture.ts';

/** Two images of one registry, one of another. */
const images = [
  imageArtifact('pause', 'amd64'),
  imageArtifact('coredns', 'amd64'),
  imageArtifact('kube-router', 'amd64'),
];
const runc = executableArtifact('runc', { arch: 'amd64', directory: '/nowhere' });

describe.each(['oci', 'oci+http', 'https', 'http'])('a mirror at %s that is dead', (protocol) => {
  test('and takes connections is waited for once, whatever is lacking', async () => {
    const server = await listenSilently();
    const { events, askedNext } = await ensureWith(`${protocol}://${server.host}/k8s`, {
      connectMs: 20_000,
      firstByteMs: 200,
    });
    expect(failuresIn(events).at(0)).toContain(
      `${server.host}: it took the connection and said nothing for 0.2 s`,
    );
    expect(server.connections()).toBe(1);
    expect(askedNext).toEqual([...images, runc]);
  });

  test('and drops packets is waited for once, too', async () => {
    const host = `127.0.0.1:${await openBlackHole()}`;
    const { events, askedNext } = await ensureWith(`${protocol}://${host}/k8s`, {
      connectMs: 300,
      firstByteMs: 20_000,
    });
    expect(failuresIn(events).at(0)).toContain(`${host} did not answer within 0.3 s`);
    // Whoever is asked again is asked after a pause.
    expect(events.filter(({ type }) => type === 'import-waiting')).toEqual([]);
    expect(askedNext).toEqual([...images, runc]);
  });
});

test('a mirror that thinks for longer than its first byte may take is waited for', async () => {
  const firstByteMs = 2_000;
  const authority = createTestAuthority();
  const asked: string[] = [];
  const tls = authority.issueServer({ ipAddresses: ['127.0.0.1'] });
  const server = createHttpsServer(tls, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    setTimeout(() => response.writeHead(404).end(), firstByteMs + 1_000);
  });
  const { port, close } = await listenOnLoopback(server);
  onTestFinished(close);
  const { events } = await ensureWith(
    `oci://127.0.0.1:${port}/k8s`,
    { connectMs: 20_000, firstByteMs },
    { ca: authority.ca, wanted: [imageArtifact('coredns', 'amd64')] },
  );
  expect(asked).toEqual([expect.stringMatching(/^GET \/v2\/k8s\/coredns\/coredns\/manifests\//)]);
  expect(failuresIn(events)).toEqual([]);
});

/** Takes connections, reads them, and says nothing. */
async function listenSilently() {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.resume();
  });
  const { port, close } = await listenOnLoopback(server);
  onTestFinished(close);
  return { host: `127.0.0.1:${port}`, connections: () => connections };
}

/** What a node does that lacks everything, and may ask a controller after the mirror. */
async function ensureWith(
  mirror: string,
  mirrorPatience: Patience,
  options: { readonly ca?: string; readonly wanted?: readonly ArtifactSpec[] } = {},
) {
  const { ca = '', wanted = [...images, runc] } = options;
  const events: NodeEvent[] = [];
  const askedNext: unknown[] = [];
  const controller: ArtifactSource = {
    description: 'controllers',
    provide: (artifacts) => {
      askedNext.push(...artifacts);
      return Promise.resolve([]);
    },
  };
  const store = await emptyStore(await temporaryFolder());
  const parts = {
    ...{ store, clock: systemClock },
    onEvent: (event: NodeEvent) => void events.push(event),
  };
  const access = { credentialsFile: '', trustMirror: false, upstream: { enabled: false } };
  const sources = artifactSources({
    ...{ ...parts, mirrorPatience, controllers: [controller] },
    spec: { mirror, ca, ...access },
    proxy: { http: '', https: '', noProxy: [] },
  });
  await ensureArtifacts([], { ...parts, sources, forOthers: wanted, signal: neverAborted });
  return { events, askedNext };
}

function failuresIn(events: readonly NodeEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === 'source-failed' ? [event.why] : []));
}
