import type { StartOptions } from '../node/start.ts';
import { dataDirOption, type Invocation, textOption } from './command.ts';
import { createReporter } from './reporter.ts';
import { version } from './version.ts';

/** Runs a node in the foreground until a signal, with the reporter on stdout and the log on stderr. */
export function runUntilSignal(
  invocation: Invocation,
  start: (options: StartOptions, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  return run(invocation, start, { reloads: undefined });
}

/**
 * The same for a node, which reads its configuration again at SIGHUP; on a terminal that signal says that the terminal
 * has gone, and ends it as ever.
 */
export async function runNodeUntilSignal(
  invocation: Invocation,
  start: (options: StartOptions, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const { createReloadRequests } = await import('../node/reload-requests.ts');
  const isOnTerminal = process.stdin.isTTY || invocation.context.stderr.isTTY === true;
  return run(invocation, start, { reloads: isOnTerminal ? undefined : createReloadRequests() });
}

async function run(
  invocation: Invocation,
  start: (options: StartOptions, signal: AbortSignal) => Promise<void>,
  { reloads }: { readonly reloads: StartOptions['reloads'] | undefined },
): Promise<number> {
  const { context, options } = invocation;
  const [{ createLogger }, { systemClock }] = await Promise.all([
    import('../base/logger.ts'),
    import('../base/time.ts'),
  ]);
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => abort.abort(signal));
  }
  process.on('SIGHUP', () => {
    if (reloads === undefined) abort.abort('SIGHUP');
    else reloads.request();
  });
  const isDebug = options.debug === true;
  const reporter = createReporter(context.stdout);
  try {
    await start(
      {
        ...dataDirOption(invocation),
        ...bundleOptions(invocation),
        env: context.env,
        ...(reloads === undefined ? {} : { reloads }),
        isDebug,
        version,
        clock: systemClock,
        // On a terminal the reporter says what matters; the log would run over it.
        logger: createLogger({
          level: isDebug ? 'debug' : context.stderr.isTTY === true ? 'silent' : 'info',
          format: 'text',
          write: (line) => context.stderr.write(line),
        }),
        onEvent: reporter.report,
      },
      abort.signal,
    );
  } finally {
    reporter.close();
  }
  return 0;
}

/** What `runOptions` were given. */
export function bundleOptions(invocation: Invocation) {
  const bundle = textOption(invocation, 'bundle');
  const trustBundle = textOption(invocation, 'trustBundle');
  const requireSignature = textOption(invocation, 'requireSignature');
  return {
    ...(bundle === undefined ? {} : { bundle }),
    ...(trustBundle === undefined ? {} : { trustBundle }),
    ...(requireSignature === undefined ? {} : { requireSignature }),
  };
}

/** Options of every command that takes a bundle. */
export const runOptions = [
  {
    flags: '--bundle <path>',
    description: 'take components and images from this directory, .tar or .tar.zst',
  },
  {
    flags: '--trust-bundle <sha256>',
    description: "accept a bundle that is not upstream's own, by the sha256 of its index.json",
  },
  {
    flags: '--require-signature <key>',
    description: 'accept a bundle only if this key signed it: ed25519:…, or a file with it',
  },
] as const;
