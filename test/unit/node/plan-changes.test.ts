import { describe, expect, it } from 'vitest';
import { planController } from '../../../src/node/plan.ts';
import { changedLoops, changedProcesses } from '../../../src/node/plan-changes.ts';
import { planInputs } from '../../support/plan-inputs.ts';

async function planned(spec?: string) {
  const inputs = await planInputs(spec === undefined ? {} : { spec });
  return { config: inputs.config, plan: planController(inputs) };
}

describe('changedProcesses', () => {
  it.each([
    ['  kubelet: { maxPods: 20 }', ['kubelet']],
    ['  extraArgs: { kube-scheduler: { v: 4 } }', ['kube-scheduler']],
    ['  proxy: { https: "http://p:1" }', ['containerd']],
    ['  registries: { docker.io: { mirrors: [{ url: "https://m" }] } }', []],
    ['  network: { kubeProxy: { mode: iptables } }', ['kube-proxy']],
    ['  api: { sans: [a.example] }', []],
    ['  artifacts: { mirror: "https://m" }', []],
    ['  hardening: cis', ['kube-apiserver']],
  ])('of %s are %j', async (spec, names) => {
    const [before, after] = [await planned(), await planned(spec)];
    expect(changedProcesses(before.plan, after.plan)).toEqual(names);
    expect(changedProcesses(after.plan, after.plan)).toEqual([]);
  });

  it('are those that a file leads to another file', () => {
    const process = {
      name: 'a',
      executable: '/bin/a',
      args: ['--config=/etc/a.json'],
      env: {},
      dependsOn: [],
      readiness: { type: 'none' },
      startTimeoutMs: 1,
      stopTimeoutMs: 1,
    } as const;
    const file = (path: string, content: string) => ({ path, content, mode: 0, uid: 0, gid: 0 });
    const view = (limits: string, other: string) => ({
      processes: [process],
      files: [
        file('/etc/a.json', '{ "limits": "/etc/limits.json" }'),
        file('/etc/limits.json', limits),
        file('/etc/limits', other),
      ],
    });
    expect(changedProcesses(view('1', 'x'), view('2', 'x'))).toEqual(['a']);
    expect(changedProcesses(view('1', 'x'), view('1', 'y'))).toEqual([]);
  });
});

describe('changedLoops', () => {
  it.each([
    ['  node: { labels: { a: b } }', ['local-node']],
    ['  api: { sans: [a.example] }', ['certificates']],
    ['  addons: { coredns: { enabled: false } }', ['images']],
    ['  kubelet: { maxPods: 20 }', []],
  ])('of %s are %j', async (spec, names) => {
    expect(changedLoops(await planned(), await planned(spec))).toEqual(names);
  });
});
