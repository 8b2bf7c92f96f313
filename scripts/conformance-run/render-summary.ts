import type { TestResult } from './ginkgo-report.ts';
import type { NodeRecord } from './node-watch.ts';
import { judgeRun, type RunOutcome, slowest, totalsByArea } from './summary.ts';

export interface RunFacts {
  /** The command as it was given. */
  readonly command: string;
  /** `mini-k8s 0.1.0 (Kubernetes 1.37.1)` */
  readonly versions: string;
  /** `2 CPUs, 24 GiB, Linux 6.18.5` */
  readonly machine: string;
  readonly startedAt: Date;
}

const SLOWEST = 10;
const MEBIBYTE = 1024 ** 2;

/** The whole run on one page of Markdown, as docs/conformance.md has it. */
export function renderSummary(facts: RunFacts, outcome: RunOutcome): string {
  const results = outcome.stages.flatMap(({ report }) => report.results);
  const parts = [
    renderFacts(facts, outcome),
    renderAreas(results),
    renderStages(outcome),
    renderNodes(outcome.nodes),
    renderSlowest(results),
    renderVerdict(outcome),
  ];
  return `${parts.join('\n\n')}\n`;
}

function renderFacts(facts: RunFacts, outcome: RunOutcome): string {
  return [
    `- ${facts.startedAt.toISOString().slice(0, 16)}Z, \`${facts.command}\`, ${minutes(outcome.elapsedMs)}`,
    `- ${facts.versions}`,
    `- machine: ${facts.machine}`,
    ...outcome.nodes.map((node) => `- ${node.role}: ${node.size}`),
  ].join('\n');
}

function renderAreas(results: readonly TestResult[]): string {
  return table(
    ['area', 'passed', 'failed', 'time of its tests'],
    totalsByArea(results).map(({ area, passed, failed, elapsedMs }) => [
      area,
      String(passed),
      String(failed),
      minutes(elapsedMs),
    ]),
  );
}

function renderStages({ stages }: RunOutcome): string {
  return table(
    ['stage', 'tests', 'failed', 'time'],
    stages.map(({ name, expected, report, elapsedMs }) => [
      name,
      String(expected.length),
      String(report.results.filter(({ hasPassed }) => !hasPassed).length),
      minutes(elapsedMs),
    ]),
  );
}

function renderNodes(nodes: readonly NodeRecord[]): string {
  const rows = nodes.map((node) => [
    node.role,
    `${Math.round(node.peakBytes / MEBIBYTE)} MiB`,
    describeList(node.oomKills?.ofNode),
    describeList(node.oomKills?.ofContainers),
    describeList(node.restarts),
    describeList(node.podRestarts),
  ]);
  const columns = [
    'node',
    'peak without page cache',
    'killed for want of memory',
    'containers at their own limit',
    'restarts of components',
    'of addon pods',
  ];
  return table(columns, rows);
}

function describeList(words: readonly string[] | undefined): string {
  if (words === undefined) return 'not known';
  const counts = [...Map.groupBy(words, (word) => word)].map(([word, same]) =>
    same.length === 1 ? word : `${word} × ${same.length}`,
  );
  return counts.length === 0 ? '0' : counts.join(', ');
}

function renderSlowest(results: readonly TestResult[]): string {
  return table(
    ['slowest tests', 'time'],
    slowest(results, SLOWEST).map(({ name, elapsedMs }) => [
      name,
      `${Math.round(elapsedMs / 1000)} s`,
    ]),
  );
}

function renderVerdict(outcome: RunOutcome): string {
  const { failures, problems, passed, expected } = judgeRun(outcome);
  return [
    ...failures.map(({ name, reason }) => `- failed: ${name}\n  ${reason}`),
    ...problems.map((problem) => `- problem: ${problem}`),
    ...(failures.length + problems.length === 0 ? [] : ['']),
    `**${passed} of ${expected} passed in ${minutes(outcome.elapsedMs)}.**`,
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** `41 min`, `8.2 min` */
function minutes(ms: number): string {
  const value = ms / 60_000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} min`;
}
