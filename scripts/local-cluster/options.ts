import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../src/base/errors.ts';

/** What `./scripts/up` was asked for. */
export interface UpOptions {
  readonly isOnHost: boolean;
  readonly cpus: number | 'all';
  readonly memoryBytes: number | 'all';
  readonly diskBytes: number;
  readonly bundle: string | undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1000,
  M: 1000 ** 2,
  G: 1000 ** 3,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
};

/** Less does not hold the control plane. */
const LEAST_MEMORY_BYTES = 512 * 1024 ** 2;
const LEAST_DISK_BYTES = 4 * 1024 ** 3;

/** @throws UserError that names the option. */
export function parseUpOptions(args: readonly string[]): UpOptions {
  const values = parseValues(args);
  if (values.host && (values.cpus ?? values.memory ?? values.disk) !== undefined) {
    throw usageError(
      '--host runs on the machine itself, so --cpus, --memory and --disk cannot limit it',
    );
  }
  return {
    isOnHost: values.host,
    cpus: values.cpus === undefined ? 'all' : parseCpus(values.cpus),
    memoryBytes:
      values.memory === undefined
        ? 'all'
        : parseSize('--memory', values.memory, LEAST_MEMORY_BYTES),
    diskBytes: parseSize('--disk', values.disk ?? '12Gi', LEAST_DISK_BYTES),
    bundle: values.bundle === undefined ? undefined : path.resolve(values.bundle),
  };
}

/** Reads a size as Kubernetes writes it: `1Gi`, `768Mi`, `1G`, plain bytes. */
export function parseSize(option: string, text: string, leastBytes: number): number {
  const match = /^(\d+(?:\.\d+)?)(|k|M|G|Ki|Mi|Gi)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ''];
  if (match?.[1] === undefined || unit === undefined) {
    throw usageError(`${option} takes a size such as 1Gi or 768Mi, not "${text}"`);
  }
  const bytes = Math.floor(Number(match[1]) * unit);
  if (bytes >= leastBytes) return bytes;
  throw usageError(`${option} ${text} is too small: the least is ${leastBytes / 1024 ** 2}Mi`);
}

function parseCpus(text: string): number {
  const cpus = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && cpus >= 0.1) return cpus;
  throw usageError(`--cpus takes a number from 0.1 on, not "${text}"`);
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        host: { type: 'boolean', default: false },
        cpus: { type: 'string' },
        memory: { type: 'string' },
        disk: { type: 'string' },
        bundle: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({ what: 'start', why, fix: './scripts/up --help' });
}
