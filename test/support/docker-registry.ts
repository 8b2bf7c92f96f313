import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { hashBytes } from '../../src/artifacts/blobs.ts';
import { mediaTypes } from '../../src/artifacts/media-types.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { waitFor } from '../../src/base/time.ts';
import { freePorts } from './free-ports.ts';
import { createTestAuthority } from './tls-authority.ts';

const run = promisify(execFile);

export interface RegistryOptions {
  /** What it keeps is here, for another one later. */
  readonly folder: string;
  /** `user:password`: HTTP Basic, with htpasswd. */
  readonly credentials?: string;
  /** Of a token server. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    /** PEM of the certificate that its signatures are held against. */
    readonly certFile: string;
  };
  readonly usesTls?: boolean;
  /** Of this machine, where others reach it; default: the loopback. */
  readonly address?: string;
}

export interface TestRegistry {
  /** `127.0.0.1:5000` */
  readonly host: string;
  /** `http://127.0.0.1:5000` */
  readonly base: string;
  /** PEM, where it speaks TLS. */
  readonly ca: string | undefined;
  close(): Promise<void>;
}

/** Debian's docker-registry, ended with the test at the latest. `scripts/setup` installs it. */
export async function startDockerRegistry(options: RegistryOptions): Promise<TestRegistry> {
  const { folder, address = '127.0.0.1' } = options;
  const [port = 0] = await freePorts(1);
  const host = `${address}:${port}`;
  const id = randomBytes(4).toString('hex');
  const settings = path.join(folder, `registry-${id}`);
  await mkdir(settings, { recursive: true });
  const authority = options.usesTls === true ? createTestAuthority() : undefined;
  const http = {
    addr: host,
    ...(authority === undefined ? {} : { tls: await tlsFiles(settings) }),
  };
  async function tlsFiles(directory: string) {
    const issued = authority?.issueServer({ ipAddresses: [address] });
    const [certificate, key] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
    await writeFile(certificate, `${issued?.cert}`);
    await writeFile(key, `${issued?.key}`);
    return { certificate, key };
  }
  const config = path.join(settings, 'config.yml');
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: path.join(folder, 'registry-data') } },
      http,
      ...(await authOf(options, settings)),
    }),
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = `${output}${chunk.toString()}`.slice(-4000);
    });
  }
  const exited = once(child, 'exit');
  const close = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  onTestFinished(close);
  await waitFor(() => child.exitCode !== null || isListening(address, port), {
    ...{ subject: 'docker-registry to listen', timeoutMs: 60_000, describe: () => output },
  });
  if (child.exitCode !== null) throw new Error(`docker-registry ended: ${output}`);
  const base = `${authority === undefined ? 'http' : 'https'}://${host}`;
  return { host, base, ca: authority?.ca, close };
}

export interface PushedImage {
  readonly arch: Architecture;
  readonly layer: Buffer;
}

/**
 * Pushes an image into a registry that lets everybody write: an index over all of them, or one manifest where there is
 * only one and `hasIndex` is false. @returns the digest behind the tag.
 */
export async function pushImage(
  base: string,
  name: { readonly repository: string; readonly tag: string; readonly hasIndex?: boolean },
  images: readonly PushedImage[],
): Promise<string> {
  const repository = `${base}/v2/${name.repository}`;
  const manifests = [];
  for (const image of images) {
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: { mediaType: mediaTypes.imageConfig, ...(await pushConfig(repository, image)) },
      layers: [{ mediaType: mediaTypes.layerTar, ...(await pushBlob(repository, image.layer)) }],
    });
    const isLast = name.hasIndex === false;
    const blob = hashBytes(Buffer.from(manifest));
    const reference = isLast ? name.tag : blob.digest;
    await put(`${repository}/manifests/${reference}`, manifest, mediaTypes.manifest);
    if (isLast) return blob.digest;
    const platform = { os: 'linux', architecture: image.arch };
    manifests.push({ mediaType: mediaTypes.manifest, ...blob, platform });
  }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
  await put(`${repository}/manifests/${name.tag}`, index, mediaTypes.index);
  return hashBytes(Buffer.from(index)).digest;
}

function pushConfig(repository: string, { arch, layer }: PushedImage) {
  const config = {
    architecture: arch,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [hashBytes(layer).digest] },
  };
  return pushBlob(repository, Buffer.from(JSON.stringify(config)));
}

async function pushBlob(repository: string, content: Buffer) {
  const blob = hashBytes(content);
  const begun = await fetch(`${repository}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', repository);
  location.searchParams.set('digest', blob.digest);
  await put(location.href, content, 'application/octet-stream');
  return blob;
}

async function put(address: string, content: Buffer | string, type: string): Promise<void> {
  const body = typeof content === 'string' ? content : new Uint8Array(content);
  const response = await fetch(address, { method: 'PUT', body, headers: { 'Content-Type': type } });
  if (response.status !== 201) {
    throw new Error(`PUT ${address}: ${response.status} ${await response.text()}`);
  }
}

async function authOf(options: RegistryOptions, settings: string): Promise<object> {
  if (options.token !== undefined) {
    const { realm, service, issuer, certFile } = options.token;
    return { auth: { token: { realm, service, issuer, rootcertbundle: certFile } } };
  }
  if (options.credentials === undefined) return {};
  const [user = '', password = ''] = options.credentials.split(':');
  const { stdout } = await run('htpasswd', ['-nbB', '-C', '4', user, password]);
  const file = path.join(settings, 'htpasswd');
  await writeFile(file, stdout);
  return { auth: { htpasswd: { realm: 'test', path: file } } };
}

async function isListening(host: string, port: number): Promise<boolean> {
  const { connect } = await import('node:net');
  return await new Promise((resolve) => {
    const socket = connect({ port, host });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
