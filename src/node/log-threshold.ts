import type { Logger, LogLevel } from '../base/logger.ts';

const order: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

/**
 * A logger that drops records below `minimum`: children say a lot at info that nobody reads and that would wear
 * an SD card when the journal keeps it.
 */
export function logThreshold(logger: Logger, minimum: LogLevel): Logger {
  const at = (level: LogLevel): Logger[LogLevel] =>
    order.indexOf(level) < order.indexOf(minimum)
      ? () => {}
      : (message, fields) => logger[level](message, fields);
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => logThreshold(logger.child(fields), minimum),
  };
}
