import type { Logger, LogLevel } from '../base/logger.ts';

const order: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

/**
 * A logger that drops records below `minimum()`: children say a lot that nobody reads and that would wear an SD card
 * when the journal keeps it. Asked at each record, so that it may change meanwhile; `silent` drops all.
 */
export function logThreshold(logger: Logger, minimum: () => LogLevel | 'silent'): Logger {
  const at =
    (level: LogLevel): Logger[LogLevel] =>
    (message, fields) => {
      const least = minimum();
      if (least === 'silent' || order.indexOf(level) < order.indexOf(least)) return;
      logger[level](message, fields);
    };
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => logThreshold(logger.child(fields), minimum),
  };
}

/**
 * What of the components' own output goes into the log: all when debugging; otherwise their errors, but none while the
 * node comes up, when each complains that the others are not there yet. Whatever they say is in the run directory
 * all the same, and the last lines of one that ends are shown.
 */
export function outputLevel(state: {
  readonly isDebug: boolean;
  readonly isSettled: boolean;
}): LogLevel | 'silent' {
  if (state.isDebug) return 'trace';
  return state.isSettled ? 'error' : 'silent';
}
