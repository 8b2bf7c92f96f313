import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import type { NodeEvent } from './events.ts';

const run = promisify(execFile);

type Environment = Readonly<Record<string, string | undefined>>;

/** A message that is not taken within this time is given up, milliseconds. */
const notifyTimeoutMs = 10_000;

/**
 * Tells systemd how far the node is, and feeds its watchdog from this process' own loop: a failing component or an
 * absent network never stops that. Does nothing where no service manager asks for it. Node.js has no datagram sockets
 * of the Unix kind: `systemd-notify` sends, and only seldom.
 * @see https://www.freedesktop.org/software/systemd/man/252/sd_notify.html
 */
export function createServiceNotifier(
  env: Environment,
  logger: Logger,
): { readonly onEvent: (event: NodeEvent) => void; close(): Promise<void> } {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined) return { onEvent: () => {}, close: async () => {} };
  // One after the other: the order of states is what the manager acts on.
  let last = Promise.resolve();
  const send = (...messages: readonly string[]) => {
    last = last.then(() => notify(socket, messages, logger));
    return last;
  };
  const abort = new AbortController();
  const intervalMs = watchdogIntervalMs(env);
  const feeding =
    intervalMs === undefined ? undefined : feedWatchdog(intervalMs, { send, signal: abort.signal });
  return {
    onEvent: (event) => {
      const messages = messagesFor(event);
      if (messages.length > 0) void send(...messages);
    },
    close: async () => {
      abort.abort();
      await feeding;
      await last;
    },
  };
}

/**
 * What the service manager is told of an event. A node counts as started when its components have been ready once, or
 * when the time in which they should be is over: what follows in the machine's start must not wait for ever.
 */
export function messagesFor(event: NodeEvent): readonly string[] {
  switch (event.type) {
    case 'step-started':
      return [`STATUS=${event.step}`];
    case 'components-ready':
      return ['READY=1', 'STATUS=waiting for the node and the addons'];
    case 'cluster-ready':
      return ['READY=1', 'STATUS=everything is Ready'];
    case 'not-ready':
      return ['READY=1', `STATUS=not Ready: ${event.messages.join('; ').slice(0, 400)}`];
    case 'stopping':
      return ['STOPPING=1', 'STATUS=stopping'];
    default:
      return [];
  }
}

/** A third of what the manager allows, so that one lost message does no harm; undefined when it does not watch. */
export function watchdogIntervalMs(env: Environment): number | undefined {
  const microseconds = Number(env['WATCHDOG_USEC'] ?? '');
  return microseconds > 0 ? Math.floor(microseconds / 3000) : undefined;
}

async function feedWatchdog(
  intervalMs: number,
  {
    send,
    signal,
  }: { readonly send: (message: string) => Promise<void>; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await send('WATCHDOG=1');
    await sleep(intervalMs, signal).catch(() => {});
  }
}

async function notify(socket: string, messages: readonly string[], logger: Logger): Promise<void> {
  const env = { NOTIFY_SOCKET: socket, PATH: '/usr/local/bin:/usr/bin:/bin' };
  try {
    await run('systemd-notify', [...messages], { env, timeout: notifyTimeoutMs });
  } catch (error) {
    logger.warn('The service manager could not be told', { reason: errorMessage(error) });
  }
}
