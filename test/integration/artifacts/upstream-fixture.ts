import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { blobPath } from '../../../src/artifacts/blobs.ts';
import type { UpstreamComponent } from '../../../src/artifacts/catalog.ts';
import { type ArtifactStore, findComponent } from '../../../src/artifacts/store.ts';
import type {
  ArtifactEvent,
  ArtifactSource,
  ExecutableArtifact,
} from '../../../src/artifacts/types.ts';
import type { UpstreamSourceOptions } from '../../../src/artifacts/upstream-session.ts';
import { createUpstreamSource } from '../../../src/artifacts/upstream-source.ts';
import { dialTcp } from '../../../src/base/dial.ts';
import { systemClock } from '../../../src/base/time.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';
import { createTestAuthority, type TestAuthority } from '../../support/tls-authority.ts';
import { emptyStore, makeTar, type TarFixtureEntry, temporaryFolder } from './bundle-fixture.ts';

/** What a small upstream publishes, by path, and the pins of it. */
export interface Upstream {
  readonly files: Map<string, Buffer>;
  readonly pins: Readonly<Record<string, UpstreamComponent>>;
  /** Contents of the executables by name. */
  readonly executables: Readonly<Record<string, Buffer>>;
}

export interface UpstreamOptions {
  /** Of the two that come as they are: `alpha` and `beta`. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** What the archive holds besides `gamma`. */
  readonly archived?: readonly TarFixtureEntry[];
  /** What the archive is, instead of a gzipped tar. */
  readonly archive?: Buffer;
}

/** Host of every address in the pins; the tests bring connections for it elsewhere. */
export const upstreamHost = 'dl.example.test';

/** The component `plain`, of two executables as they are, and `packed`, with one in an archive beside other files. */
export function makeUpstream(options: UpstreamOptions = {}): Upstream {
  const { sizes = {}, archived = [] } = options;
  const executables = {
    alpha: randomBytes(sizes['alpha'] ?? 200_000),
    beta: randomBytes(sizes['beta'] ?? 300_000),
    gamma: randomBytes(sizes['gamma'] ?? 100_000),
  };
  const archive =
    options.archive ??
    gzipSync(
      makeTar([
        { path: './packed-v2.0.0/', type: 'Directory' },
        { path: './packed-v2.0.0/README.md', content: Buffer.from('read me') },
        { path: './packed-v2.0.0/gamma', content: executables.gamma },
        { path: './packed-v2.0.0/latest', type: 'SymbolicLink', linkpath: 'gamma' },
        ...archived,
      ]),
    );
  const files = new Map([
    ['/v1.0.0/bin/linux/amd64/alpha', executables.alpha],
    ['/v1.0.0/bin/linux/amd64/beta', executables.beta],
    ['/packed/v2.0.0/packed-v2.0.0-linux-amd64.tar.gz', archive],
  ]);
  const sums = (content: Buffer) => ({ amd64: sha256(content), arm64: '0'.repeat(64) });
  const plainFile = (name: 'alpha' | 'beta') => ({
    url: `https://${upstreamHost}/v{version}/bin/linux/{arch}/${name}`,
    sha256: sums(executables[name]),
    members: [{ name }],
  });
  const packedFile = {
    url: `https://${upstreamHost}/packed/v{version}/packed-v{version}-linux-{arch}.tar.gz`,
    archive: 'tar.gz',
    sha256: sums(archive),
    members: [{ name: 'gamma', path: 'packed-v{version}/gamma' }],
  };
  const pins = {
    plain: { version: '1.0.0', files: [plainFile('alpha'), plainFile('beta')] },
    packed: { version: '2.0.0', files: [packedFile] },
  };
  return { files, pins, executables };
}

export interface UpstreamServerOptions {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly authority?: TestAuthority;
  /** Before the file is served; true = it has answered, or never will. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Names in its certificate. */
  readonly names?: readonly string[];
  readonly port?: number;
}

export interface UpstreamServer {
  readonly port: number;
  readonly authority: TestAuthority;
  /** `GET /v1.0.0/… bytes=5-` without the HEADs, in the order of their coming. */
  readonly requests: string[];
  /** Bytes of bodies that were handed to the kernel. */
  sentBytes(): number;
  close(): Promise<void>;
}

/** An HTTPS server with upstream's paths: ETags, ranges, conditions, as release hosts have them. */
export async function startUpstream(options: UpstreamServerOptions): Promise<UpstreamServer> {
  const authority = options.authority ?? createTestAuthority();
  const dnsNames = options.names ?? [upstreamHost];
  const requests: string[] = [];
  let sentBytes = 0;
  const tls = authority.issueServer({ dnsNames, ipAddresses: ['127.0.0.1'] });
  const server = createServer({ ...tls, ALPNProtocols: ['http/1.1'] }, (request, response) => {
    const { method, url, headers } = request;
    if (method !== 'HEAD') {
      requests.push([method, url, headers.range].filter((part) => part).join(' '));
    }
    const write = response.write.bind(response) as (...args: unknown[]) => boolean;
    response.write = ((chunk: Uint8Array, ...rest: unknown[]) => {
      sentBytes += chunk.length;
      return write(chunk, ...rest);
    }) as typeof response.write;
    if (options.intercept?.(request, response) === true) return;
    serve(request, response, options.files);
  });
  const { port, close } = await listenOnLoopback(server, options.port);
  onTestFinished(close);
  return { port, authority, requests, sentBytes: () => sentBytes, close };
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, Buffer>,
): void {
  const content = files.get(new URL(request.url ?? '', 'https://x').pathname);
  if (content === undefined) {
    response.writeHead(404).end();
    return;
  }
  const etag = `"${sha256(content).slice(0, 16)}"`;
  const condition = request.headers['if-range'];
  const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const isPart = start !== undefined && (condition === undefined || condition === etag);
  if (isPart && Number(start) >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const from = isPart ? Number(start) : 0;
  const part = content.subarray(from);
  response.writeHead(isPart ? 206 : 200, {
    etag,
    'accept-ranges': 'bytes',
    'content-length': part.length,
    ...(isPart ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
  });
  if (request.method === 'HEAD') response.end();
  else sendSlowly(response, part);
}

/** In chunks, each when the one before is on its way: what is counted and cut is what was sent. */
function sendSlowly(response: ServerResponse, content: Buffer): void {
  const chunk = content.subarray(0, 16_384);
  if (chunk.length === 0) {
    response.end();
    return;
  }
  response.write(chunk, (error) => {
    if (!error) sendSlowly(response, content.subarray(chunk.length));
  });
}

/** A source over upstream's pins, with connections to its host led to that port, pauses of milliseconds, and its words. */
export function sourceOf(
  { pins }: Upstream,
  server: { readonly port: number; readonly authority: TestAuthority },
  options: Partial<UpstreamSourceOptions> & { readonly store: ArtifactStore },
): { readonly source: ArtifactSource; readonly events: ArtifactEvent[] } {
  const events: ArtifactEvent[] = [];
  const source = createUpstreamSource({
    catalog: (name) => pins[name],
    authorities: server.authority.ca,
    dial: ({ host, port }, signal) =>
      dialTcp(
        {
          host: '127.0.0.1',
          port: host === upstreamHost ? server.port : port,
          timeoutMs: 30_000,
        },
        signal,
      ),
    onEvent: (event) => events.push(event),
    clock: systemClock,
    random: () => 0.5,
    ...options,
    timing: { firstPauseMs: 5, rounds: 3, stallMs: 30_000, ...options.timing },
  });
  return { source, events };
}

export async function newStore(): Promise<{ folder: string; store: ArtifactStore }> {
  const folder = await temporaryFolder();
  return { folder, store: await emptyStore(folder) };
}

export const plain = (...members: readonly string[]): ExecutableArtifact =>
  artifact('plain', '1.0.0', members);
export const packed: ExecutableArtifact = artifact('packed', '2.0.0', ['gamma']);

function artifact(name: string, version: string, members: readonly string[]): ExecutableArtifact {
  return {
    ...{ kind: 'executable', name, version, arch: 'amd64' },
    members: members.map((member) => ({ name: member, path: `/bin/${member}` })),
  };
}

/** An executable as the store has it. */
export async function stored(
  store: ArtifactStore,
  wanted: ExecutableArtifact,
  name: string,
): Promise<Buffer> {
  const component = await findComponent(store, wanted);
  return await readFile(
    blobPath(store.directory, component?.executables.get(name)?.digest ?? 'sha256:none'),
  );
}

export async function writePem(folder: string, { ca }: TestAuthority): Promise<string> {
  const file = path.join(folder, 'ca.pem');
  await writeFile(file, ca);
  return file;
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
