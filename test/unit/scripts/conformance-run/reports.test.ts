import { describe, expect, it } from 'vitest';
import {
  parseDryRun,
  parseStageReport,
} from '../../../../scripts/conformance-run/ginkgo-report.ts';
import { createLiveProgress } from '../../../../scripts/conformance-run/live-progress.ts';
import { parseOomKills } from '../../../../scripts/conformance-run/oom-kills.ts';

const spec = (fields: object) => ({
  ContainerHierarchyTexts: ['[sig-network] DNS'],
  LeafNodeType: 'It',
  LeafNodeText: 'should answer [Conformance]',
  State: 'passed',
  RunTime: 3_214_000_000,
  ...fields,
});
const report = (...specs: readonly object[]) =>
  JSON.stringify([{ SpecialSuiteFailureReasons: null, SpecReports: specs }]);

describe("ginkgo's report", () => {
  it('gives name, area and time of each test that ran', () => {
    const text = report(spec({}), spec({ LeafNodeText: 'another', State: 'skipped', RunTime: 0 }));
    expect(parseStageReport(text)).toEqual({
      results: [
        {
          name: '[sig-network] DNS should answer [Conformance]',
          ...{ area: 'network', hasPassed: true, elapsedMs: 3214, reason: '' },
        },
      ],
      problems: [],
    });
  });

  it.each([
    [{ Message: 'timed out:\n  no pod\n\n' }, 'failed', 'timed out: no pod'],
    [{ Message: 'a'.repeat(1000) }, 'failed', 'a'.repeat(300)],
    [{ Message: 'Test Panicked', ForwardedPanic: 'nil map' }, 'panicked', 'panicked: nil map'],
    [{ Message: '' }, 'timedout', 'timedout: it says nothing'],
  ])('gives one line of %j', (Failure, State, reason) => {
    const { results } = parseStageReport(report(spec({ State, Failure })));
    expect(results).toMatchObject([{ hasPassed: false, reason }]);
  });

  it('has the failures of what is no test, and nothing else of it', () => {
    const before = { ContainerHierarchyTexts: null, LeafNodeText: '' };
    const text = report(
      spec({ ...before, LeafNodeType: 'SynchronizedBeforeSuite', State: 'failed' }),
      spec({ ...before, LeafNodeType: 'ReportAfterSuite' }),
    );
    const { results } = parseStageReport(text);
    expect(results.map(({ name, area }) => [name, area])).toEqual([
      ['[SynchronizedBeforeSuite]', 'suite'],
    ]);
  });

  it('says why the suite as a whole failed', () => {
    const text = JSON.stringify([{ SpecialSuiteFailureReasons: ['Interrupted by Timeout'] }]);
    expect(parseStageReport(text)).toEqual({ results: [], problems: ['Interrupted by Timeout'] });
  });

  it('of a dry run gives the names of what would run', () => {
    const names = parseDryRun(
      report(spec({ LeafNodeText: 'b' }), spec({ LeafNodeText: 'a' }), spec({ State: 'skipped' })),
    );
    expect(names).toEqual(['[sig-network] DNS a', '[sig-network] DNS b']);
  });
});

describe('progress', () => {
  const output = [
    'Will run 3 of 7000 specs',
    '------------------------------',
    '• [3.214 seconds]',
    '[sig-network] DNS should answer',
    'k8s.io/kubernetes/test/e2e/network/dns.go:44',
    '------------------------------',
    '• [FAILED] [300.012 seconds]',
    '[sig-node] Pods [It] should run [Conformance] [sig-node, Conformance]',
    'k8s.io/kubernetes/test/e2e/node/pods.go:44',
    '  • [3 seconds] is said by a test',
    '------------------------------',
    '• [PANICKED!] [0.012 seconds]',
    '[sig-cli] Kubectl [It] should print',
    '',
  ].join('\n');

  it('counts tests, and names failures as they come, in whatever pieces', () => {
    for (const size of [1, 7, output.length]) {
      const progress = createLiveProgress();
      const failures: string[] = [];
      for (let start = 0; start < output.length; start += size) {
        failures.push(...progress.read(output.slice(start, start + size)));
      }
      expect(failures).toEqual([
        '[sig-node] Pods should run [Conformance]',
        '[sig-cli] Kubectl should print',
      ]);
      expect([progress.done, progress.failed]).toEqual([3, 2]);
    }
  });
});

describe("the kernel's messages", () => {
  const kill = (oomGroup: string, task: string) =>
    `[1.0] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=${oomGroup},task_memcg=/x/n-1/kubepods/pod1,task=${task},pid=7,uid=0`;

  it('tell a node without memory from a container at its limit, and other nodes apart', () => {
    const log = [
      kill('/mini-k8s-nodes/n-1', 'kube-apiserver'),
      kill('/mini-k8s-nodes/n-1/kubepods/burstable/pod1/c', 'dd'),
      kill('/mini-k8s-nodes/n-10', 'etcd'),
      '[2.0] Memory cgroup out of memory: Killed process 7 (dd)',
    ].join('\n');
    expect(parseOomKills(log, 'n-1')).toEqual({ ofNode: ['kube-apiserver'], ofContainers: ['dd'] });
  });
});
