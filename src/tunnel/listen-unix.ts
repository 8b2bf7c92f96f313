import { lstat, mkdir, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import path from 'node:path';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';

/** sun_path holds 108 bytes with the closing zero. */
const maxSocketPathBytes = 107;

/** A full backlog answers EAGAIN at once instead of waiting, so it is as deep as the kernel's default allows. */
const backlog = 4096;

/**
 * Makes `server` listen on a Unix socket with mode 0600. The directory is made with 0700; one that others may write
 * to is refused. A socket file is replaced only when nobody listens on it.
 * @throws UserError for a path that is too long, in use, no socket, or in such a directory.
 */
export async function listenUnix(server: Server, socketPath: string): Promise<void> {
  if (Buffer.byteLength(socketPath) > maxSocketPathBytes) {
    throw refusal(socketPath, `the path is longer than ${maxSocketPathBytes} bytes`);
  }
  await ensurePrivateDirectory(socketPath);
  await removeStaleSocket(socketPath);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    // bind(2) happens inside listen(), so the mask covers the socket's creation and nothing else.
    const previous = process.umask(0o177);
    try {
      server.listen({ path: socketPath, backlog });
    } finally {
      process.umask(previous);
    }
  });
}

async function ensurePrivateDirectory(socketPath: string): Promise<void> {
  const directory = path.dirname(socketPath);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode } = await stat(directory);
  if ((mode & 0o022) !== 0) {
    const octal = (mode & 0o7777).toString(8);
    throw refusal(
      socketPath,
      `its directory ${directory} may be written by others (mode ${octal})`,
    );
  }
}

async function removeStaleSocket(socketPath: string): Promise<void> {
  const found = await lstat(socketPath).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw refusal(socketPath, 'a file that is not a socket is in its place');
  if (await isListening(socketPath)) throw refusal(socketPath, 'another process listens there');
  await rm(socketPath, { force: true });
}

function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect({ path: socketPath });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => {
      const code = errorCode(error);
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else if (code === 'EAGAIN') resolve(true);
      else reject(refusal(socketPath, `it cannot be probed: ${errorMessage(error)}`));
    });
  });
}

function refusal(socketPath: string, why: string): UserError {
  return new UserError({
    what: `listen on ${socketPath}`,
    why,
    fix: 'stop the other mini-k8s, or remove what is in the way',
  });
}
