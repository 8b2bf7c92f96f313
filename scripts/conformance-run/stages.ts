import type { ConformanceOptions } from './options.ts';

/** In running order; directories of the output too. */
export const stageNames = ['parallel', 'slow', 'serial'] as const;

/** One run of ginkgo: tests that get on with each other, by so many processes. */
export interface Stage {
  readonly name: (typeof stageNames)[number];
  readonly procs: number;
  /** In ginkgo's language: tests have the labels that are in brackets in their names. */
  readonly labelFilter: string;
  /** Regular expressions over whole names; undefined: all. */
  readonly focus: string | undefined;
  readonly skip: string | undefined;
}

/** Slow tests mostly wait, but each of them fills the nodes. */
const SLOW_PROCS = 4;

/** Whose tests are about nodes, not about the API alone: what a change of mini-k8s can break. */
const QUICK_FOCUS = String.raw`\[sig-(network|cli|storage|node)\]`;

/** Tests that take two to five minutes each, mostly to see that nothing happens. The full run has them. */
const QUICK_SKIP = [
  String.raw`should \*not\* be restarted with a`,
  'monotonically increasing restart count',
  'issue 500 podspec updates',
].join('|');

/** The stages in running order; upstream's own division, by what tests say of themselves. */
export function planStages({
  selection,
  procs,
}: Pick<ConformanceOptions, 'selection' | 'procs'>): readonly Stage[] {
  const pattern = selection.kind === 'focus' ? selection.pattern : undefined;
  const stage = { focus: pattern, skip: undefined };
  const parallel = {
    ...stage,
    name: 'parallel',
    procs,
    labelFilter: filter('!Slow && !Serial'),
  } as const;
  if (selection.kind === 'quick') return [{ ...parallel, focus: QUICK_FOCUS, skip: QUICK_SKIP }];
  return [
    parallel,
    {
      ...stage,
      name: 'slow',
      procs: Math.min(procs, SLOW_PROCS),
      labelFilter: filter('Slow && !Serial'),
    },
    { ...stage, name: 'serial', procs: 1, labelFilter: filter('Serial') },
  ];
}

function filter(rest: string): string {
  return `Conformance && ${rest}`;
}

/** What says to ginkgo, or to the suite itself with the prefix `--ginkgo.`, which tests it is about. */
export function selectionFlags(stage: Stage, prefix: '--' | '--ginkgo.'): readonly string[] {
  return [
    `${prefix}label-filter=${stage.labelFilter}`,
    ...(stage.focus === undefined ? [] : [`${prefix}focus=${stage.focus}`]),
    ...(stage.skip === undefined ? [] : [`${prefix}skip=${stage.skip}`]),
  ];
}
