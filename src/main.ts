import { run } from './cli/run.ts';

// Small buffers share blocks, and one that lives holds its whole block: a TLS session of 200 bytes, 64 KiB of Node's own.
Buffer.poolSize = 8 * 1024;

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader or the terminal is gone. A controller must live on, or at least stop its components in order.
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });
}

run(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
}).then(end, (error: unknown) => {
  // Only a bug in the one place that handles errors comes here.
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  end(70);
});

/**
 * Ends once everything is written. Left to end by itself, Node.js waits for whatever a network that answers nothing
 * still holds, and a request that it lost count of keeps it turning in `CleanupHandles` at full speed for ever.
 */
function end(exitCode: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
}
