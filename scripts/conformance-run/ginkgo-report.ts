// What is read of ginkgo's JSON report. @see https://pkg.go.dev/github.com/onsi/ginkgo/v2/types#Report

/** One test of the suite, as it went. */
export interface TestResult {
  /** `[sig-network] Services should …` */
  readonly name: string;
  /** `network`, from the name. */
  readonly area: string;
  readonly hasPassed: boolean;
  readonly elapsedMs: number;
  /** Why it failed, in one line; empty when it passed. */
  readonly reason: string;
}

export interface StageReport {
  /** Tests that ran, and whatever else failed: preparations of the whole suite. */
  readonly results: readonly TestResult[];
  /** Why the suite as a whole counts as failed although no test may have: it was interrupted, it took too long. */
  readonly problems: readonly string[];
}

interface GinkgoReport {
  readonly SpecialSuiteFailureReasons?: readonly string[] | null;
  readonly SpecReports?: readonly GinkgoSpec[] | null;
}

interface GinkgoSpec {
  readonly ContainerHierarchyTexts?: readonly string[] | null;
  readonly LeafNodeType: string;
  readonly LeafNodeText: string;
  readonly State: string;
  /** Nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string; readonly ForwardedPanic?: string };
}

const LONGEST_REASON = 300;

/** Reads what a stage did; tests that its selection left out are no part of it. */
export function parseStageReport(text: string): StageReport {
  const reports = JSON.parse(text) as readonly GinkgoReport[];
  const specs = reports.flatMap((report) => report.SpecReports ?? []);
  const results = specs.filter(isWorthTelling).map(readResult);
  const problems = reports.flatMap((report) => report.SpecialSuiteFailureReasons ?? []);
  return { results, problems };
}

/** The names of a dry run: what a stage is going to run. */
export function parseDryRun(text: string): readonly string[] {
  const { results } = parseStageReport(text);
  return results.map(({ name }) => name).toSorted();
}

function isWorthTelling({ LeafNodeType, State }: GinkgoSpec): boolean {
  if (LeafNodeType === 'It') return State !== 'skipped' && State !== 'pending';
  return State !== 'passed' && State !== 'skipped';
}

function readResult(spec: GinkgoSpec): TestResult {
  const texts = [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText];
  const isTest = spec.LeafNodeType === 'It';
  const name = isTest ? texts.join(' ') : `[${spec.LeafNodeType}] ${texts.join(' ')}`.trim();
  const hasPassed = spec.State === 'passed';
  return {
    name,
    area: /^\[sig-([^\]]+)\]/.exec(name)?.[1] ?? 'suite',
    hasPassed,
    elapsedMs: Math.round(spec.RunTime / 1e6),
    reason: hasPassed ? '' : reasonOf(spec),
  };
}

/** The whole message on one line: its first may be no more than that the time was over. */
function reasonOf({ State, Failure }: GinkgoSpec): string {
  const said = Failure?.ForwardedPanic || Failure?.Message || 'it says nothing';
  const prefix = State === 'failed' ? '' : `${State}: `;
  return `${prefix}${said.replaceAll(/\s+/g, ' ').trim()}`.slice(0, LONGEST_REASON);
}
