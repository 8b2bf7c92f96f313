import { throwCollected, UserError } from '../base/errors.ts';
import type { HostFacts } from './host-facts.ts';
import { type ConfigLayer, mergeLayers, originOf, renderPath } from './layers.ts';
import { nearest } from './nearest.ts';
import { readYamlLayer } from './read-yaml.ts';
import { configProblems, hostProblems, type Problem } from './rules.ts';
import { keysAt } from './schema-fields.ts';
import type { ClusterConfig } from './types.ts';

/** What all sources say, as far as it can be used, and everything that is wrong with it. */
export interface InspectedConfig {
  /** Values that are wrong have their defaults here, so that what depends on the others can be judged too. */
  readonly config: ClusterConfig;
  readonly errors: readonly UserError[];
  /** The fields of `config` that say nothing about what the user wants: `spec.network.podCIDR`. */
  readonly wrongPaths: readonly string[];
  /** Where each field is set; defaults are not in it. */
  readonly origins: ReadonlyMap<string, string>;
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
  const layer = await readYamlLayer(text, source);
  throwCollected(layer.errors);
  return inspectLayers([layer], source);
}

/**
 * Judges what several sources say together, the last on top.
 * @param source for messages about what none of them says.
 */
export async function inspectLayers(
  layers: readonly ConfigLayer[],
  source: string,
): Promise<InspectedConfig> {
  const { clusterConfigSchema } = await import('./schema.ts');
  const merged = mergeLayers(layers);
  const wanted = { ...header, ...merged.document };
  const common = { source, ...merged };
  const unknown = merged.isUnreadable === true ? ['spec'] : [];
  const result = clusterConfigSchema.safeParse(wanted);
  if (result.success) {
    return finish({ ...common, config: result.data, problems: [], wrong: unknown });
  }
  const { issues } = result.error;
  const second = clusterConfigSchema.safeParse(withoutWrongValues(wanted, issues));
  const wrongPathsOf = (issue: Issue) => [
    ...refusedPaths(issue).map(renderPath),
    ...meantPaths(issue, clusterConfigSchema),
  ];
  return finish({
    ...common,
    config: second.success ? second.data : clusterConfigSchema.parse(header),
    problems: issues.flatMap((issue) => toProblems(issue, clusterConfigSchema)),
    wrong: second.success ? [...unknown, ...issues.flatMap(wrongPathsOf)] : ['spec'],
  });
}

/**
 * What this machine cannot give the configuration, as errors that name the field (see `hostProblems`).
 * @param inspected a configuration; what is said about wrong values in it is left out.
 */
export function checkHost(
  inspected: Pick<InspectedConfig, 'config' | 'wrongPaths' | 'origins'>,
  host: HostFacts,
  source: string,
): UserError[] {
  return hostProblems(inspected.config, host)
    .filter((problem) => !concerns(problem, inspected.wrongPaths))
    .map((problem) => configError(problem, { ...inspected, source }));
}

interface Findings {
  readonly config: ClusterConfig;
  readonly problems: readonly Problem[];
  readonly wrong: readonly string[];
  readonly source: string;
  readonly origins: ReadonlyMap<string, string>;
  readonly errors: readonly UserError[];
}

function finish(findings: Findings): InspectedConfig {
  const { config, problems, wrong, origins } = findings;
  const rules = configProblems(config).filter((problem) => !concerns(problem, wrong));
  return {
    config,
    errors: [
      ...findings.errors,
      ...[...problems, ...rules].map((problem) => configError(problem, findings)),
    ],
    wrongPaths: wrong,
    origins,
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
function meantPaths(issue: Issue, schema: Schema): string[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const valid = keysAt(schema, issue.path);
  return (issue.keys ?? []).flatMap((key) => {
    const guess = nearest(key, valid);
    return guess === undefined ? [] : [renderPath([...issue.path, guess])];
  });
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

type Schema = Parameters<typeof keysAt>[0];

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
  /** Of a key that a mapping may not have: what is wrong with it. */
  readonly issues?: readonly { readonly message: string }[];
}

function toProblems(issue: Issue, schema: Schema): Problem[] {
  const path = renderPath(issue.path);
  if (issue.code === 'invalid_key') {
    return [{ path, message: issue.issues?.[0]?.message ?? issue.message }];
  }
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = keysAt(schema, issue.path);
  return (issue.keys ?? []).map((key) => {
    const guess = nearest(key, valid);
    const hint =
      guess === undefined ? `valid keys: ${valid.join(', ')}` : `did you mean "${guess}"?`;
    return { path: renderPath([...issue.path, key]), message: `unknown key; ${hint}` };
  });
}

/** Names the place that set the field, or else one of those that it does not go with. */
function configError(
  problem: Problem,
  { origins, source }: Pick<Findings, 'origins' | 'source'>,
): UserError {
  const { path, otherPaths = [], message } = problem;
  const place = exactOrigin(origins, [path, ...otherPaths]) ?? originOf(origins, path) ?? source;
  const where = path === '' ? '' : `${path}: `;
  return new UserError({ what: `use configuration ${place}`, why: `${where}${message}` });
}

function exactOrigin(
  origins: ReadonlyMap<string, string>,
  paths: readonly string[],
): string | undefined {
  return paths.map((path) => origins.get(path)).find((origin) => origin !== undefined);
}
