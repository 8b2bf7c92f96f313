import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { errorCode } from '../../src/base/errors.ts';
import { readTextIfExists } from '../../src/base/files.ts';
import { parseDryRun, parseStageReport, type StageReport } from './ginkgo-report.ts';
import { createLiveProgress } from './live-progress.ts';
import { type Stage, selectionFlags } from './stages.ts';

/** Programs of the suite, on the host. */
export interface SuitePrograms {
  readonly e2eTest: string;
  readonly ginkgo: string;
  readonly kubectl: string;
}

export interface StageRun {
  readonly stage: Stage;
  readonly programs: SuitePrograms;
  readonly kubeconfig: string;
  /** For report.json, junit.xml and output.log. */
  readonly directory: string;
  readonly expected: readonly string[];
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Far above what all tests take: ginkgo's own limit of one hour would end a run on a slow machine. */
const SUITE_TIMEOUT = '4h';
const PROGRESS_INTERVAL_MS = 30_000;
const LIST_TIMEOUT_MS = 120_000;

/** The names of the tests that a stage is going to run, by the suite itself. */
export async function listTests(
  { e2eTest }: SuitePrograms,
  stage: Stage,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-conformance-'));
  try {
    const report = path.join(directory, 'report.json');
    const flags = ['--ginkgo.dry-run', '--ginkgo.silence-skips', `--ginkgo.json-report=${report}`];
    await execa(e2eTest, [...flags, ...selectionFlags(stage, '--ginkgo.'), ...SUITE_FLAGS], {
      ...{ cwd: directory, stdin: 'ignore', timeout: LIST_TIMEOUT_MS },
      cancelSignal: signal,
    });
    return parseDryRun(await readFile(report, 'utf8'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** How many conformance tests there are by upstream's own list. */
export async function countConformanceTests({ e2eTest }: SuitePrograms): Promise<number> {
  const { stdout } = await execa(e2eTest, ['--list-conformance-tests'], { stdin: 'ignore' });
  return stdout.split('\n').filter((line) => /^(- |\s+)codename:/.test(line)).length;
}

/** Runs the tests of a stage; failed tests are no error. */
export async function runStage(run: StageRun): Promise<StageReport> {
  const { stage, directory, signal } = run;
  await mkdir(directory, { recursive: true });
  const exit = await runGinkgo(run);
  signal.throwIfAborted();
  const text = await readTextIfExists(path.join(directory, 'report.json'));
  if (text === undefined) {
    const problem = `ginkgo ended with ${exit} and wrote no report: see ${directory}/output.log`;
    return { results: [], problems: [problem] };
  }
  const report = parseStageReport(text);
  const isClean = exit === '0' || report.results.some(({ hasPassed }) => !hasPassed);
  const problems = isClean
    ? []
    : [`ginkgo ended with ${exit} although no test of ${stage.name} failed`];
  return { ...report, problems: [...report.problems, ...problems] };
}

/** What only matters outside of a cloud: nobody asks a provider for anything. */
const SUITE_FLAGS = ['--provider=skeleton'];

function ginkgoArguments({ stage, programs, kubeconfig, directory }: StageRun): readonly string[] {
  return [
    ...[`--procs=${stage.procs}`, `--timeout=${SUITE_TIMEOUT}`, '-v', '--no-color'],
    ...['--silence-skips', `--output-dir=${directory}`],
    ...['--json-report=report.json', '--junit-report=junit.xml'],
    ...selectionFlags(stage, '--'),
    ...[programs.e2eTest, '--', ...SUITE_FLAGS],
    ...[`--kubeconfig=${kubeconfig}`, `--kubectl-path=${programs.kubectl}`],
    // What its failures look like is in the report; the logs of all pods of a failed test are megabytes.
    ...['--dump-logs-on-failure=false', '--disable-log-dump'],
  ];
}

async function runGinkgo(run: StageRun): Promise<string> {
  const { programs, directory, expected, signal, say } = run;
  // It listens from here on only: what begins after an abort, nobody would end.
  signal.throwIfAborted();
  const log = createWriteStream(path.join(directory, 'output.log'));
  // A group of its own: the terminal's Ctrl-C is for this process, which ends all of the group.
  const child = spawn(programs.ginkgo, ginkgoArguments(run), {
    ...{ cwd: directory, detached: true, stdio: ['ignore', 'pipe', 'pipe'] as const },
    // kubectl keeps what it knows of the API below HOME.
    env: { PATH: process.env['PATH'], HOME: path.dirname(run.kubeconfig) },
  });
  const progress = createLiveProgress();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    log.write(chunk);
    for (const name of progress.read(chunk)) say(`  failed: ${name}`);
  });
  child.stderr.on('data', (chunk: Buffer) => log.write(chunk));
  const sayProgress = () => {
    const failed = progress.failed === 0 ? '' : `, ${progress.failed} failed`;
    say(`  ${progress.done} of ${expected.length} tests done${failed}`);
  };
  const timer = setInterval(sayProgress, PROGRESS_INTERVAL_MS);
  const end = () => killGroup(child.pid);
  signal.addEventListener('abort', end, { once: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      // Such as a full disk; unheard, it would end this process, and leave the nodes where they are.
      log.on('error', reject);
      child.once('close', (code, name) => resolve(String(code ?? name)));
    });
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', end);
    killGroup(child.pid);
    log.end();
  }
}

/** Nothing there = nothing done. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}
