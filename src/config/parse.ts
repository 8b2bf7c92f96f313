import { throwCollected, UserError } from '../base/errors.ts';
import type { HostFacts } from './host-facts.ts';
import { nearest } from './nearest.ts';
import { configProblems, hostProblems, type Problem } from './rules.ts';
import type { ClusterConfig } from './types.ts';

/** What a document says, as far as it can be used, and everything that is wrong with it. */
export interface InspectedConfig {
  /** Values that are wrong have their defaults here, so that what depends on the others can be judged too. */
  readonly config: ClusterConfig;
  readonly errors: readonly UserError[];
  /** The fields of `config` that say nothing about what the user wants: `spec.network.podCIDR`. */
  readonly wrongPaths: readonly string[];
}

/**
 * Reads a configuration document: syntax, unknown keys, types, defaults, rules between fields.
 * @param text YAML or JSON; empty text gives all defaults.
 * @param source the file's name, for messages.
 * @throws UserError or UserErrors: every problem of the document at once.
 */
export async function parseConfig(text: string, source: string): Promise<ClusterConfig> {
  const { config, errors } = await inspectConfig(text, source);
  throwCollected(errors);
  return config;
}

/**
 * Like `parseConfig`, for a caller that has more to say about the configuration (`checkHost`) before it gives up.
 * @throws UserError or UserErrors for a document that is no YAML, or not a mapping.
 */
export async function inspectConfig(text: string, source: string): Promise<InspectedConfig> {
  const document = (await readDocument(text, source)) ?? {};
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw configError(source, { path: '', message: 'the document is not a mapping' });
  }
  const { clusterConfigSchema } = await import('./schema.ts');
  const wanted = { ...header, ...document };
  const result = clusterConfigSchema.safeParse(wanted);
  if (result.success) return finish({ config: result.data, problems: [], wrong: [], source });
  const { issues } = result.error;
  const second = clusterConfigSchema.safeParse(withoutWrongValues(wanted, issues));
  const wrongPathsOf = (issue: Issue) => [
    ...refusedPaths(issue).map(renderPath),
    ...meantPaths(issue, clusterConfigSchema),
  ];
  return finish({
    config: second.success ? second.data : clusterConfigSchema.parse(header),
    problems: issues.flatMap((issue) => toProblems(issue, clusterConfigSchema)),
    wrong: second.success ? issues.flatMap(wrongPathsOf) : ['spec'],
    source,
  });
}

/**
 * What this machine cannot give the configuration, as errors that name the field (see `hostProblems`).
 * @param inspected a configuration; what is said about wrong values in it is left out.
 */
export function checkHost(
  inspected: Pick<InspectedConfig, 'config' | 'wrongPaths'>,
  host: HostFacts,
  source: string,
): UserError[] {
  return hostProblems(inspected.config, host)
    .filter((problem) => !concerns(problem, inspected.wrongPaths))
    .map((problem) => configError(source, problem));
}

interface Findings {
  readonly config: ClusterConfig;
  readonly problems: readonly Problem[];
  readonly wrong: readonly string[];
  readonly source: string;
}

function finish({ config, problems, wrong, source }: Findings): InspectedConfig {
  const rules = configProblems(config).filter((problem) => !concerns(problem, wrong));
  return {
    config,
    errors: [...problems, ...rules].map((problem) => configError(source, problem)),
    wrongPaths: wrong,
  };
}

/** Whether a problem is about a value that is not the user's. */
function concerns(problem: Problem, wrongPaths: readonly string[]): boolean {
  return [problem.path, ...(problem.otherPaths ?? [])].some((path) =>
    wrongPaths.some(
      (wrong) => path === wrong || path.startsWith(`${wrong}.`) || wrong.startsWith(`${path}.`),
    ),
  );
}

/** The document without the values that the schema refuses; unknown keys are left out by their names. */
function withoutWrongValues(document: unknown, issues: readonly Issue[]): unknown {
  const copy: unknown = structuredClone(document);
  for (const path of issues.flatMap(refusedPaths)) removeAt(copy, path);
  return { ...(copy as object), ...header };
}

function refusedPaths(issue: Issue): PropertyKey[][] {
  if (issue.code !== 'unrecognized_keys') return [[...issue.path]];
  return (issue.keys ?? []).map((key) => [...issue.path, key]);
}

/** The fields that unknown keys were probably meant to be: their defaults are not what the user wants. */
function meantPaths(issue: Issue, schema: unknown): string[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const valid = keysAt(schema, issue.path);
  return (issue.keys ?? []).flatMap((key) => {
    const guess = nearest(key, valid);
    return guess === undefined ? [] : [renderPath([...issue.path, guess])];
  });
}

function renderPath(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

/** Removes one value; of a list, the whole list, so that no other index moves. */
function removeAt(root: unknown, path: readonly PropertyKey[]): void {
  let parent: unknown = root;
  for (const [index, step] of path.entries()) {
    if (typeof parent !== 'object' || parent === null) return;
    const child = (parent as Record<PropertyKey, unknown>)[step];
    if (index === path.length - 1 || Array.isArray(child)) {
      Reflect.deleteProperty(parent, step);
      return;
    }
    parent = child;
  }
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
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // An alias without its anchor, or aliases that multiply without end.
    if (!(error instanceof ReferenceError)) throw error;
    throw configError(source, { path: '', message: error.message });
  }
}

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

function toProblems(issue: Issue, schema: unknown): Problem[] {
  const path = renderPath(issue.path);
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = keysAt(schema, issue.path);
  return (issue.keys ?? []).map((key) => {
    const guess = nearest(key, valid);
    const hint =
      guess === undefined ? `valid keys: ${valid.join(', ')}` : `did you mean "${guess}"?`;
    return { path: renderPath([...issue.path, key]), message: `unknown key; ${hint}` };
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
