import type { Logger, LogLevel } from '../base/logger.ts';
import type { SupervisorEvent } from './types.ts';

/** Writes what happened to a component into the operator's log. */
export function logEvent(logger: Logger, event: SupervisorEvent): void {
  const { level, message } = describeEvent(event);
  logger[level](message, { component: event.name });
}

interface Description {
  readonly level: LogLevel;
  readonly message: string;
}

function describeEvent(event: SupervisorEvent): Description {
  switch (event.type) {
    case 'component-starting':
      return { level: 'debug', message: 'starting' };
    case 'component-ready':
      return { level: 'info', message: `ready after ${event.elapsedMs} ms` };
    case 'component-terminated':
      return {
        level: event.termination.reason === 'Completed' ? 'info' : 'warn',
        message: terminationText(event),
      };
    case 'component-stopping':
      return { level: 'debug', message: 'stopping' };
    case 'component-stopped':
      return { level: 'info', message: `stopped after ${event.elapsedMs} ms` };
    case 'orphan-ended':
      return { level: 'warn', message: `ended pid ${event.pid}, left by an earlier run` };
  }
}

function terminationText(
  event: Extract<SupervisorEvent, { type: 'component-terminated' }>,
): string {
  const { reason, message } = event.termination;
  const why = message === undefined ? reason : `${reason}: ${message}`;
  return event.retryInMs === undefined
    ? `terminated (${why})`
    : `terminated (${why}); next try in ${event.retryInMs} ms`;
}
