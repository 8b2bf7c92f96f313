import { throwCollected, UserError } from '../base/errors.ts';
import type { HostFacts } from './host-facts.ts';
import { nearest } from './nearest.ts';
import { configProblems, hostProblems } from './rules.ts';
import type { ClusterConfig } from './types.ts';

/** One thing wrong with a configuration: where, and what. */
interface Problem {
  /** `spec.network.podCIDR`; empty for the whole document. */
  readonly path: string;
  readonly message: string;
}

/**
 * Reads a configuration document: syntax, unknown keys, types, defaults, rules between fields.
 * @param text YAML or JSON; empty text gives all defaults.
 * @param source the file's name, for messages.
 * @throws UserError or UserErrors: every problem of the document at once.
 */
export async function parseConfig(text: string, source: string): Promise<ClusterConfig> {
  const document = (await readDocument(text, source)) ?? {};
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw configError(source, { path: '', message: 'the document is not a mapping' });
  }
  const { clusterConfigSchema } = await import('./schema.ts');
  const result = clusterConfigSchema.safeParse({ ...header, ...document });
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => toProblems(issue, clusterConfigSchema));
    throwCollected(problems.map((problem) => configError(source, problem)));
    throw new Error('a failed parse has issues');
  }
  const config: ClusterConfig = result.data;
  throwCollected(configProblems(config).map((problem) => configError(source, problem)));
  return config;
}

/** What this machine cannot give the configuration, as errors that name the field (see `hostProblems`). */
export function checkHost(config: ClusterConfig, host: HostFacts, source: string): UserError[] {
  return hostProblems(config, host).map((problem) => configError(source, problem));
}

/** The configuration that holds when there is no file. */
export async function defaultConfig(): Promise<ClusterConfig> {
  return parseConfig('', 'defaults');
}

/** What an empty file means. */
const header = { apiVersion: 'mini-k8s.io/v1alpha1', kind: 'ClusterConfig' };

async function readDocument(text: string, source: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { prettyErrors: true });
  throwCollected(
    document.errors.map((error) =>
      configError(source, { path: '', message: error.message.split('\n')[0] ?? error.message }),
    ),
  );
  return document.toJS({ maxAliasCount: 100 });
}

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

function toProblems(issue: Issue, schema: unknown): Problem[] {
  const path = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = keysAt(schema, issue.path);
  return (issue.keys ?? []).map((key) => {
    const guess = nearest(key, valid);
    const hint =
      guess === undefined ? `valid keys: ${valid.join(', ')}` : `did you mean "${guess}"?`;
    return { path: path === '' ? key : `${path}.${key}`, message: `unknown key; ${hint}` };
  });
}

/** The keys that the schema knows at a path. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  let current = unwrap(schema);
  for (const step of path) current = unwrap(shapeOf(current)[String(step)]);
  return Object.keys(shapeOf(current));
}

function unwrap(schema: unknown): unknown {
  let current = schema;
  while (typeof current === 'object' && current !== null && 'def' in current) {
    const def = current.def as { innerType?: unknown };
    if (def.innerType === undefined) return current;
    current = def.innerType;
  }
  return current;
}

function shapeOf(schema: unknown): Record<string, unknown> {
  if (typeof schema !== 'object' || schema === null || !('shape' in schema)) return {};
  return schema.shape as Record<string, unknown>;
}

function configError(source: string, problem: Problem): UserError {
  const where = problem.path === '' ? '' : `${problem.path}: `;
  return new UserError({
    what: `use configuration ${source}`,
    why: `${where}${problem.message}`,
  });
}
