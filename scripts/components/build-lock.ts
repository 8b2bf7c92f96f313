import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { errorCode } from '../../src/base/errors.ts';
import { sleep } from '../../src/base/time.ts';

const retryMs = 300;

export interface BuildLockOptions {
  /** What is locked: one build at a time per cache directory. */
  readonly directory: string;
  /** Called once when another build holds the lock. */
  readonly onWait: () => void;
  readonly signal: AbortSignal;
}

/**
 * Waits until no other build uses the cache, and keeps others out until `close`. The lock is a socket with an
 * abstract name: the kernel releases it with the process, however that ends.
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 */
export async function acquireBuildLock(options: BuildLockOptions): Promise<Server> {
  const id = createHash('sha256').update(options.directory).digest('hex').slice(0, 32);
  for (let hasWaited = false; ; hasWaited = true) {
    const lock = await tryListen(`\0mini-k8s-build-components-${id}`);
    if (lock !== undefined) return lock;
    if (!hasWaited) options.onWait();
    await sleep(retryMs, options.signal);
  }
}

function tryListen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (errorCode(error) === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ path: name }, () => resolve(server));
  });
}
