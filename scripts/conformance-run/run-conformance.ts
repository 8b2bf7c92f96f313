import { mkdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, homedir, release, totalmem } from 'node:os';
import path from 'node:path';
import { untilAborted } from '../../src/base/time.ts';
import { createStepReporter } from '../components/reporter.ts';
import { type ConformanceSuite, provideSuite } from '../conformance-suite/provide-suite.ts';
import { ensurePackages, NODE_COMMANDS } from '../local-cluster/ensure-packages.ts';
import { requireKernel } from '../local-cluster/kernel.ts';
import { buildExecutable, workspaceOf } from '../local-cluster/workspace.ts';
import { type ConformanceOptions, renderSize } from './options.ts';
import { type RunFacts, renderSummary } from './render-summary.ts';
import { countConformanceTests, listTests, runStage } from './run-stage.ts';
import { planStages, type Stage, stageNames } from './stages.ts';
import { judgeRun, RESULT_FILE, type RunOutcome, type StageOutcome, totalsOf } from './summary.ts';
import { startTestCluster, type TestCluster } from './test-cluster.ts';

/** In the output directory: kubeconfig, and the nodes' logs. */
const CLUSTER_DIRECTORY = 'cluster';

export interface ConformanceRun extends ConformanceOptions {
  /** Of the checkout. */
  readonly root: string;
  readonly command: string;
  readonly say: (line: string) => void;
}

/**
 * Builds, makes the cluster, runs the tests, prints the summary. Returns whether all passed that were to run. Nodes are
 * gone when it returns, and when it throws.
 * @throws the signal's reason when it is aborted.
 */
export async function runConformance(run: ConformanceRun, signal: AbortSignal): Promise<boolean> {
  const startedAt = new Date();
  const { suite, executable } = await build(run, signal);
  if (run.isBuildOnly) return true;
  const plan = await planTests(run, suite, signal);
  const { say, output, cpus, memoryBytes } = run;
  await clearOutput(output);
  say(`Making two nodes, each ${renderSize(run)}; mini-k8s gets no configuration`);
  const { bundle, bundleSha256 } = suite;
  await using cluster = await startTestCluster({
    ...{ executable, bundle, bundleSha256, cpus, memoryBytes, say, signal },
    directory: path.join(output, CLUSTER_DIRECTORY),
  });
  const testsStartedAt = performance.now();
  const stages: StageOutcome[] = [];
  for (const { stage, tests } of plan.stages) {
    stages.push(await runOne({ run, suite, cluster, stage, tests }, signal));
  }
  const outcome: RunOutcome = {
    ...{ stages, suiteCount: plan.suiteCount, nodes: await cluster.describeNodes() },
    elapsedMs: performance.now() - testsStartedAt,
  };
  const verdict = judgeRun(outcome);
  const summary = renderSummary(describeRun(run, cluster, startedAt), outcome);
  await writeFile(path.join(output, 'summary.md'), summary);
  await writeFile(path.join(output, RESULT_FILE), JSON.stringify(totalsOf(verdict)));
  say(`\n${summary}\nReports and logs: ${output}`);
  if (run.keepsCluster) await waitForEnd(run, cluster, signal);
  return verdict.hasPassed;
}

/** What an earlier run left there, whatever its stages were; nothing else. */
async function clearOutput(output: string): Promise<void> {
  await mkdir(output, { recursive: true });
  const names = ['summary.md', RESULT_FILE, CLUSTER_DIRECTORY, ...stageNames];
  for (const name of names) await rm(path.join(output, name), { recursive: true, force: true });
}

interface BuiltThings {
  readonly suite: ConformanceSuite;
  /** mini-k8s, on the host. */
  readonly executable: string;
}

async function build(run: ConformanceRun, signal: AbortSignal): Promise<BuiltThings> {
  await ensurePackages(NODE_COMMANDS, run.say);
  await requireKernel();
  const workspace = workspaceOf(run.root);
  await buildExecutable(workspace);
  signal.throwIfAborted();
  const cache = process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache');
  const suite = await provideSuite({
    cacheDirectory: path.join(cache, 'mini-k8s'),
    reporter: createStepReporter({ stream: process.stderr, now: () => performance.now() }),
    signal,
  });
  return { suite, executable: workspace.executable };
}

interface TestPlan {
  readonly stages: readonly { readonly stage: Stage; readonly tests: readonly string[] }[];
  readonly suiteCount: number | undefined;
}

/** Which tests each stage has, by the suite itself; stages without any are left out. */
async function planTests(
  run: ConformanceRun,
  suite: ConformanceSuite,
  signal: AbortSignal,
): Promise<TestPlan> {
  const stages: { stage: Stage; tests: readonly string[] }[] = [];
  for (const stage of planStages(run)) {
    const tests = await listTests(suite, stage, signal);
    if (tests.length > 0) stages.push({ stage, tests });
  }
  const isFull = run.selection.kind === 'full';
  return { stages, suiteCount: isFull ? await countConformanceTests(suite) : undefined };
}

async function runOne(
  given: {
    readonly run: ConformanceRun;
    readonly suite: ConformanceSuite;
    readonly cluster: TestCluster;
    readonly stage: Stage;
    readonly tests: readonly string[];
  },
  signal: AbortSignal,
): Promise<StageOutcome> {
  const { run, suite, cluster, stage, tests } = given;
  run.say(`Stage ${stage.name}: ${tests.length} tests, ${stage.procs} at a time`);
  const startedAt = performance.now();
  const report = await runStage({
    ...{ stage, programs: suite, kubeconfig: cluster.kubeconfig, expected: tests, signal },
    directory: path.join(run.output, stage.name),
    say: run.say,
  });
  const elapsedMs = performance.now() - startedAt;
  return { name: stage.name, expected: tests, report, elapsedMs };
}

function describeRun(
  { command }: ConformanceRun,
  { version, kubernetesVersion }: TestCluster,
  startedAt: Date,
): RunFacts {
  const gibibytes = Math.round(totalmem() / 1024 ** 3);
  return {
    ...{ command, startedAt },
    versions: `mini-k8s ${version}, Kubernetes ${kubernetesVersion}`,
    machine: `${availableParallelism()} CPUs, ${gibibytes} GiB, Linux ${release()}`,
  };
}

async function waitForEnd(
  { say }: ConformanceRun,
  { kubeconfig }: TestCluster,
  signal: AbortSignal,
): Promise<void> {
  say(`The cluster stays until Ctrl-C: export KUBECONFIG=${kubeconfig}`);
  await untilAborted(signal);
}
