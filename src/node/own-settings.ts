import { throwCollected, UserError } from '../base/errors.ts';
import { inspectConfig } from '../config/parse.ts';
import { nodeNameProblem } from '../join/node-name.ts';

/** What is said on the command line of a worker about the node that it is. */
export interface OwnSettings {
  /** The lower-cased host name when left out. */
  readonly nodeName?: string;
  /** `key=value`, comma-separated. */
  readonly labels?: string;
  /** `key=value:Effect`, comma-separated. */
  readonly taints?: string;
}

/** The part of the configuration that these settings are. */
export interface OwnConfig {
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
}

/** Labels and taints as the configuration has them; whether they are any good, `checkOwnSettings` says. Pure. */
export function ownConfig(settings: OwnSettings): OwnConfig {
  return {
    labels: Object.fromEntries(labelPairs(settings.labels).map(({ key, value }) => [key, value])),
    taints: splitList(settings.taints),
  };
}

/**
 * Before anybody is asked for anything: a machine must not join by settings that its kubelet would not start with.
 * @throws UserError or UserErrors: every mistake.
 */
export async function checkOwnSettings(settings: OwnSettings): Promise<void> {
  const pairs = labelPairs(settings.labels);
  const { labels, taints } = ownConfig(settings);
  const { errors } = await inspectConfig(
    JSON.stringify({ spec: { node: { labels, taints } } }),
    'of the command line',
  );
  throwCollected([
    ...(settings.nodeName === undefined ? [] : nameErrors(settings.nodeName)),
    ...pairs
      .filter(({ isPair }) => !isPair)
      .map(({ text }) => labelError(`"${text}" is not key=value`)),
    ...repeatedKeys(pairs).map((key) => labelError(`the key "${key}" is there twice`)),
    ...errors.map(({ why }) => settingError(why, { labels, taints })),
  ]);
}

/** Why a machine cannot have this name, as an error; empty when it can. Pure. */
export function nameErrors(name: string): UserError[] {
  const problem = nodeNameProblem(name);
  if (problem === undefined) return [];
  const lower = name.toLowerCase();
  const isCaseOnly = nodeNameProblem(lower) === undefined;
  const fix = isCaseOnly ? `--node-name ${lower}` : 'choose one with --node-name';
  return [new UserError({ what: 'name this node', why: `"${name}" ${problem}`, fix })];
}

function labelPairs(text: string | undefined) {
  return splitList(text).map((pair) => {
    const at = pair.indexOf('=');
    return at > 0
      ? { text: pair, isPair: true, key: pair.slice(0, at), value: pair.slice(at + 1) }
      : // Judged as a pair here, and not by the configuration's rules as well.
        { text: pair, isPair: false, key: 'unreadable', value: '' };
  });
}

function repeatedKeys(pairs: ReturnType<typeof labelPairs>): string[] {
  const keys = pairs.filter(({ isPair }) => isPair).map(({ key }) => key);
  return [...new Set(keys.filter((key, index) => keys.indexOf(key) !== index))];
}

/** `spec.node.taints.0: is not a taint` in the words of the command line. */
function settingError(why: string, { labels, taints }: OwnConfig): UserError {
  const [, field = '', key = '', problem = why] =
    /^spec\.node\.(labels|taints)\.(.*?): (.*)$/s.exec(why) ?? [];
  if (field === 'labels') return labelError(`"${key}=${labels[key]}" ${problem}`);
  return new UserError({
    what: 'use --taints',
    why: field === 'taints' ? `"${taints[Number(key)]}" ${problem}` : why,
    fix: 'write them as --taints example.com/dedicated=edge:NoSchedule,slow:PreferNoSchedule',
  });
}

function labelError(why: string): UserError {
  const fix = 'write them as --labels example.com/rack=r1,size=small';
  return new UserError({ what: 'use --labels', why, fix });
}

function splitList(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((part) => part !== '');
}
