import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../src/base/errors.ts';

/** Which tests of the suite are run. */
export type Selection =
  | { readonly kind: 'full' }
  | { readonly kind: 'quick' }
  /** A regular expression in Go's words, as ginkgo takes it. */
  | { readonly kind: 'focus'; readonly pattern: string };

export interface ConformanceOptions {
  readonly selection: Selection;
  /** Test processes of the parallel stage. */
  readonly procs: number;
  /** Of each node. */
  readonly memoryBytes: number;
  /** Of each node: what it gets, and what its kubelet sees. */
  readonly cpus: number;
  /** Leave the cluster running behind the tests, until Ctrl-C. */
  readonly keepsCluster: boolean;
  readonly isBuildOnly: boolean;
  /** Absolute path of the directory for reports and logs. */
  readonly output: string;
}

/** Of one node: `1 CPU, 1024 MiB`. */
export function renderSize(options: Pick<ConformanceOptions, 'cpus' | 'memoryBytes'>): string {
  const { cpus, memoryBytes } = options;
  return `${cpus} ${cpus === 1 ? 'CPU' : 'CPUs'}, ${memoryBytes / 1024 ** 2} MiB`;
}

const GIBIBYTE = 1024 ** 3;
const UNITS: Readonly<Record<string, number>> = { Mi: 1024 ** 2, Gi: GIBIBYTE };
/** Less does not hold the control plane. */
const LEAST_MEMORY_BYTES = GIBIBYTE / 2;

/** @throws UserError that names the option. */
export function parseConformanceOptions(args: readonly string[], root: string): ConformanceOptions {
  const values = parseValues(args);
  return {
    selection: parseSelection(values),
    procs: parseCount('--procs', values.procs ?? '6'),
    memoryBytes: parseMemory(values.memory ?? '2GiB'),
    cpus: parseCpus(values.cpus ?? String(Math.min(2, availableParallelism()))),
    keepsCluster: values.keep,
    isBuildOnly: values['build-only'],
    output: path.resolve(root, values.output ?? 'dist/conformance'),
  };
}

function parseSelection(values: {
  readonly quick: boolean;
  readonly focus?: string | undefined;
}): Selection {
  if (values.focus === undefined) return { kind: values.quick ? 'quick' : 'full' };
  if (values.quick) throw usageError('--quick and --focus both say which tests are run');
  if (values.focus === '') throw usageError('--focus takes a regular expression');
  return { kind: 'focus', pattern: values.focus };
}

function parseCount(option: string, text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw usageError(`${option} takes a whole number from 1 to 99, not "${text}"`);
}

function parseCpus(text: string): number {
  const cpus = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && cpus >= 0.5) return cpus;
  throw usageError(`--cpus takes a number from 0.5 on, not "${text}"`);
}

/** `1GiB`, or as Kubernetes writes it: `1Gi`, `768Mi`. */
function parseMemory(text: string): number {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)(Mi|Gi)B?$/.exec(text) ?? [];
  const bytes = Math.floor(Number(count) * (UNITS[unit] ?? 0));
  if (count === undefined)
    throw usageError(`--memory takes a size such as 1GiB or 768MiB, not "${text}"`);
  if (bytes >= LEAST_MEMORY_BYTES) return bytes;
  throw usageError(`--memory ${text} is too small: the least is 512MiB`);
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        focus: { type: 'string' },
        procs: { type: 'string' },
        memory: { type: 'string' },
        cpus: { type: 'string' },
        keep: { type: 'boolean', default: false },
        'build-only': { type: 'boolean', default: false },
        output: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({
    what: 'run the conformance tests',
    why,
    fix: 'scripts/conformance --help',
  });
}
