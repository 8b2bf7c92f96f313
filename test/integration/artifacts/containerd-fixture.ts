import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { createConnection } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '../../../src/base/time.ts';
import { componentBinary } from '../../support/components.ts';

export interface RunningContainerd {
  readonly socket: string;
  readonly root: string;
  readonly ctr: string;
  /** Asks as kubelet does. Returns stdout. */
  crictl(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

/**
 * A containerd of its own: root, state and socket under `folder`, mounts in a namespace that ends with it.
 * Needs root.
 * @param registries Directory with a hosts.toml per registry.
 */
export async function startContainerd(
  folder: string,
  registries = path.join(folder, 'registries'),
): Promise<RunningContainerd> {
  const root = path.join(folder, 'containerd');
  const socket = path.join(folder, 'containerd.sock');
  const config = path.join(folder, 'containerd.toml');
  await mkdir(root, { recursive: true });
  await writeFile(config, renderConfig({ folder, root, socket, registries }));
  const log = await open(path.join(folder, 'containerd.log'), 'a');
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', componentBinary('containerd'), '--config', config],
    { stdio: ['ignore', log.fd, log.fd] },
  );
  await log.close();
  const ended = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(impatience);
  };
  try {
    await waitFor(async () => child.exitCode !== null || (await accepts(socket)), {
      subject: 'containerd to listen',
      timeoutMs: 60_000,
    });
    if (child.exitCode !== null) {
      throw new Error(
        `containerd ended: ${await readFile(path.join(folder, 'containerd.log'), 'utf8')}`,
      );
    }
    // It listens before its CRI plugin has read what is there, and refuses its questions until then.
    const answersCri = () =>
      listCriImages(socket).then(
        () => true,
        () => false,
      );
    await waitFor(answersCri, { subject: 'its CRI plugin to answer', timeoutMs: 60_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  const crictl = (...args: readonly string[]) => runCrictl(folder, socket, args);
  return { socket, root, ctr: componentBinary('ctr'), crictl, stop };
}

async function runCrictl(folder: string, socket: string, args: readonly string[]): Promise<string> {
  const config = path.join(folder, 'crictl.yaml');
  // Without one crictl reads the machine's.
  await writeFile(config, '');
  const endpoint = `unix://${socket}`;
  const { stdout } = await promisify(execFile)(componentBinary('crictl'), [
    ...['--config', config, '--timeout', '40s'],
    ...['--runtime-endpoint', endpoint, '--image-endpoint', endpoint],
    ...args,
  ]);
  return stdout;
}

/** An image as the CRI plugin reports it to kubelet. */
export interface CriImage {
  readonly tags: readonly string[];
  readonly pinned: boolean;
}

/**
 * Asks what kubelet asks: `runtime.v1.ImageService/ListImages`, by hand, since gRPC is HTTP/2 with a five-byte prefix.
 * @see https://github.com/kubernetes/cri-api/blob/v0.37.1/pkg/apis/runtime/v1/api.proto message Image
 */
export async function listCriImages(socket: string): Promise<readonly CriImage[]> {
  const session = connect('http://localhost', { createConnection: () => createConnection(socket) });
  // Its stream says so too.
  session.on('error', () => {});
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.ImageService/ListImages',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(Buffer.alloc(5));
    const chunks: Buffer[] = [];
    let status = 'none';
    stream.on('trailers', (trailers) => {
      status = String(trailers['grpc-status']);
    });
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    if (status !== '0') throw new Error(`ListImages ended with gRPC status ${status}`);
    return protobufFields(Buffer.concat(chunks).subarray(5)).map(({ bytes }) => criImage(bytes));
  } finally {
    session.close();
  }
}

function criImage(bytes: Buffer): CriImage {
  const fields = protobufFields(bytes);
  return {
    tags: fields.filter(({ id }) => id === 2).map((field) => field.bytes.toString()),
    pinned: fields.some(({ id, value }) => id === 8 && value === 1),
  };
}

interface ProtobufField {
  readonly id: number;
  readonly value: number;
  readonly bytes: Buffer;
}

/** @see https://protobuf.dev/programming-guides/encoding/ */
function protobufFields(bytes: Buffer): ProtobufField[] {
  const fields: ProtobufField[] = [];
  let offset = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[offset] ?? 0;
      offset += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (offset < bytes.length) {
    const key = varint();
    const value = varint();
    const length = (key & 7) === 2 ? value : 0;
    fields.push({ id: key >> 3, value, bytes: bytes.subarray(offset, offset + length) });
    offset += length;
  }
  return fields;
}

async function accepts(socket: string): Promise<boolean> {
  const connection = createConnection(socket);
  try {
    await once(connection, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    connection.destroy();
  }
}

function renderConfig(paths: {
  readonly folder: string;
  readonly root: string;
  readonly socket: string;
  readonly registries: string;
}): string {
  const { folder, root, socket, registries } = paths;
  return `version = 3
root = "${root}"
state = "${folder}/containerd-state"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "${registries}"
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_dir = "${folder}/cni"
`;
}
