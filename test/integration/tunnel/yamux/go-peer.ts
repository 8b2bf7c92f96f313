import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { waitFor } from '../../../../src/base/time.ts';
import { createYamuxSession } from '../../../../src/tunnel/yamux/session.ts';
import type {
  YamuxOptions,
  YamuxSession,
  YamuxStream,
} from '../../../../src/tunnel/yamux/types.ts';
import { buildGoProgram } from '../../../support/go/build-go-program.ts';

/** What the first line of a connection asks of the peer; see test/support/go/yamux-peer/main.go. */
export interface PeerSettings {
  readonly windowBytes?: number;
  readonly keepAliveMs?: number;
  readonly closeTimeoutMs?: number;
  readonly openTimeoutMs?: number;
  readonly bufferBytes?: number;
}

export interface ConnectOptions {
  readonly role: 'client' | 'server';
  readonly isTls: boolean;
  readonly peer?: PeerSettings;
  readonly session?: Partial<YamuxOptions>;
}

/** The reference implementation in a process of its own; it ends with `stop()` or with this process. */
export interface GoPeer {
  /** A new session with it; we have the role, the peer the other one. */
  connect(options: ConnectOptions): Promise<Connection>;
  stop(): Promise<void>;
}

export interface Connection {
  readonly session: YamuxSession;
  readonly socket: Socket;
  /** Streams that the peer has opened; they are echoed unless `session.onStream` is given. */
  readonly accepted: YamuxStream[];
  /** Opens a stream that begins with a command. */
  command(text: string): YamuxStream;
  /** The whole answer to a command without further input. */
  ask(text: string): Promise<string>;
}

export async function startGoPeer(): Promise<GoPeer> {
  const program = await buildGoProgram('yamux-peer', AbortSignal.timeout(280_000));
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ports = await readPorts(child);
  return {
    connect: (options) => connect(ports, options),
    stop: async () => {
      const exited = once(child, 'exit');
      child.stdin?.end();
      await exited;
    },
  };
}

async function readPorts(child: ChildProcess): Promise<{ plain: number; tls: number }> {
  if (child.stdout === null) throw new Error('no standard output');
  const [line] = await once(child.stdout, 'data', { signal: AbortSignal.timeout(60_000) });
  return JSON.parse(String(line)) as { plain: number; tls: number };
}

async function connect(
  ports: { plain: number; tls: number },
  { role, isTls, peer, session: options }: ConnectOptions,
): Promise<Connection> {
  const host = '127.0.0.1';
  const socket: Socket = isTls
    ? connectTls({ host, port: ports.tls, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
    : connectTcp({ host, port: ports.plain });
  socket.setNoDelay(true);
  await once(socket, isTls ? 'secureConnect' : 'connect');
  const peerRole = role === 'client' ? 'server' : 'client';
  socket.write(`${JSON.stringify({ role: peerRole, ...peer })}\n`);
  const accepted: YamuxStream[] = [];
  const onStream = (stream: YamuxStream) => {
    accepted.push(stream);
    stream.on('error', () => {});
    stream.pipe(stream);
  };
  const session = createYamuxSession({ onStream, ...options, role, transport: socket });
  const command = (text: string) => {
    const stream = session.openStream();
    stream.on('error', () => {});
    stream.write(`${text}\n`);
    return stream;
  };
  return {
    session,
    socket,
    accepted,
    command,
    ask: async (text) => (await readAll(command(text).end())).toString(),
  };
}

/** Everything up to the end; not by `for await`, which destroys the writing half too. */
export function readAll(stream: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.once('end', () => resolve(Buffer.concat(parts)));
    stream.once('close', () => reject(stream.errored ?? new Error('closed before its end')));
  });
}

/** The bytes 0, 1, … 250, 0, 1, … as the Go program makes them. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = at % 251;
  return bytes;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Waits for a session to have no streams left on our side and the peer's, then ends it gently. */
export async function expectNothingLeft({ session, ask }: Connection): Promise<void> {
  const describe = () => JSON.stringify(session.stats());
  const options = { timeoutMs: 60_000, intervalMs: 20, describe };
  await waitFor(() => session.stats().streams === 0, { ...options, subject: 'our streams to end' });
  // The question itself is one.
  await waitFor(async () => (await ask('streams')) === '1', {
    ...options,
    subject: "the peer's streams to end",
  });
  await waitFor(() => session.stats().streams === 0, { ...options, subject: 'the last to end' });
  session.drain();
  const end = await session.ended;
  if (end.message !== 'drained') throw new Error(`the session ended with: ${end.message}`);
}
