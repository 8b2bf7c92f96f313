import type { LogLevel } from '../base/logger.ts';

export interface LogLine {
  readonly level: LogLevel;
  /** Without what the operator's log adds itself: time, level and process id. */
  readonly message: string;
}

/**
 * Reads the level from one line of a component's output: klog (`E1121 09:23:11.000000 7 a.go:1] …`),
 * JSON such as zap's (`{"level":"warn","msg":…}`), logfmt (`time=… level=error msg=…`), or a Go panic.
 * Anything else is `info`.
 * @see https://kubernetes.io/docs/concepts/cluster-administration/system-logs/
 */
export function parseLogLine(line: string): LogLine {
  return parseKlog(line) ?? parseJson(line) ?? parseLogfmt(line) ?? parsePlain(line);
}

const klogLevels: Readonly<Record<string, LogLevel>> = {
  I: 'info',
  W: 'warn',
  E: 'error',
  F: 'error',
};

const namedLevels: Readonly<Record<string, LogLevel>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  dpanic: 'error',
  panic: 'error',
  fatal: 'error',
};

/** Fields of a JSON line that the operator's log has already, or that only help the component's authors. */
const droppedFields: ReadonlySet<string> = new Set([
  'level',
  'msg',
  'message',
  'ts',
  'time',
  'caller',
  'logger',
  'stacktrace',
]);

function parseKlog(line: string): LogLine | undefined {
  const match = /^([IWEF])\d{4} \d{2}:\d{2}:\d{2}\.\d+\s+\d+ (.*)$/s.exec(line);
  const level = klogLevels[match?.[1] ?? ''];
  const message = match?.[2];
  return level === undefined || message === undefined ? undefined : { level, message };
}

function parseJson(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  const record = parseRecord(line);
  if (record === undefined) return undefined;
  const text = record['msg'] ?? record['message'];
  const fields = Object.entries(record)
    .filter(([key]) => !droppedFields.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const message = [...(typeof text === 'string' ? [text] : []), ...fields].join(' ');
  return { level: levelNamed(record['level']), message: message === '' ? line : message };
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parseLogfmt(line: string): LogLine | undefined {
  const match = /^(?:time=(?:"[^"]*"|\S+) )?level="?([a-z]+)"? (.*)$/s.exec(line);
  const rest = match?.[2];
  if (rest === undefined) return undefined;
  const quoted = /^msg="((?:[^"\\]|\\.)*)"(.*)$/s.exec(rest);
  const message =
    quoted === null ? rest : `${(quoted[1] ?? '').replace(/\\(["\\])/g, '$1')}${quoted[2] ?? ''}`;
  return { level: levelNamed(match?.[1]), message };
}

function parsePlain(line: string): LogLine {
  return { level: /^(panic:|fatal error:|FATAL\b)/.test(line) ? 'error' : 'info', message: line };
}

function levelNamed(name: unknown): LogLevel {
  if (typeof name !== 'string') return 'info';
  return Object.hasOwn(namedLevels, name.toLowerCase())
    ? (namedLevels[name.toLowerCase()] ?? 'info')
    : 'info';
}
