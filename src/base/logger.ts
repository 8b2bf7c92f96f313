import pino from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** The operator's log. `fields` are merged into the record; never put a secret there. */
export interface Logger {
  trace(message: string, fields?: Readonly<Record<string, unknown>>): void;
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A logger whose every record carries `fields`, such as `{component: 'etcd'}`. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel | 'silent';
  readonly format: 'text' | 'json';
  /** Receives whole lines, newline included. */
  readonly write: (line: string) => void;
}

/** A logger over pino; `text` is `2026-11-21T09:00:00.000Z INFO  [etcd] message key=value`. */
export function createLogger(options: LoggerOptions): Logger {
  const stream = {
    write: (line: string) => options.write(options.format === 'json' ? line : renderText(line)),
  };
  const root = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return wrap(root);
}

/** A logger that drops everything. */
export const silentLogger: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};

function wrap(logger: pino.Logger): Logger {
  const at = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (fields === undefined) logger[level](message);
    else logger[level](fields, message);
  };
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(logger.child(fields)),
  };
}

function renderText(line: string): string {
  const { time, level, msg, component, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const where = component === undefined ? '' : `[${String(component)}] `;
  const fields = Object.entries(rest)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${where}${String(msg ?? '')}${fields}\n`;
}
