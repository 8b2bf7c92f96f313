import { describe, expect, it } from 'vitest';
import { mergeFiles } from '../../../src/node/plan.ts';
import { redactPlan } from '../../../src/node/redact-plan.ts';
import { planFor } from '../../support/plan-inputs.ts';

describe('planController', () => {
  it('is the golden plan of a controller with workloads', async () => {
    const plan = await planFor();
    await expect(`${JSON.stringify(plan, null, 2)}\n`).toMatchFileSnapshot(
      '../../fixtures/plans/controller.json.golden',
    );
  });

  it('is the same for equal inputs', async () => {
    expect(JSON.stringify(await planFor())).toBe(JSON.stringify(await planFor()));
  });

  it('survives a round trip through JSON', async () => {
    const plan = await planFor();
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  it('has neither kubelet nor containers without workloads', async () => {
    const plan = await planFor({ runsWorkloads: false });
    expect(plan.processes.map(({ name }) => name)).toEqual([
      'etcd',
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
    ]);
    expect(plan.images).toEqual([]);
    expect(plan.hostSettings).toEqual([]);
    expect(plan.cniConfigFile).toBeUndefined();
  });

  it('keeps for workers what it does not use itself', async () => {
    const served = (await planFor({ runsWorkloads: false })).servedArtifacts ?? [];
    const names = served.flatMap((artifact) =>
      artifact.kind === 'image'
        ? artifact.reference.replace(/:.*/, '')
        : artifact.members.map(({ name }) => name),
    );
    expect(names).toEqual(
      expect.arrayContaining(['kubelet', 'kube-proxy', 'containerd', 'runc', 'bridge']),
    );
    expect(names).toEqual(
      expect.arrayContaining(
        (await planFor()).images.map(({ reference }) => reference.replace(/:.*/, '')),
      ),
    );
    expect((await planFor()).servedArtifacts).toEqual([]);
  });

  it('leaves out what is switched off', async () => {
    const plan = await planFor({
      spec: `  addons: {coredns: {enabled: false}, metricsServer: {enabled: false}}
  network: {provider: custom, kubeProxy: {enabled: false}}`,
    });
    expect(plan.stacks.map(({ name }) => name)).toEqual(['node-rbac']);
    expect(plan.images.map(({ reference }) => reference)).toEqual([
      expect.stringMatching(/^registry\.k8s\.io\/pause:/),
    ]);
    expect(plan.processes.map(({ name }) => name)).not.toContain('kube-proxy');
    expect(plan.cniConfigFile).toBeUndefined();
  });

  it('names the node after the lower-cased host unless told otherwise', async () => {
    expect((await planFor({ host: { hostname: 'Edge-1' } })).nodeName).toBe('edge-1');
    expect((await planFor({ spec: '  node: {name: other}' })).nodeName).toBe('other');
  });

  it('reads every secret that a file refers to from the pki plan', async () => {
    const plan = await planFor();
    const known = new Set(plan.pki.secrets.map(({ name }) => name));
    const used = plan.files.flatMap(({ content }) =>
      [...content.matchAll(/\$\{secret:([a-z0-9-]+)\}/g)].map((match) => match[1]),
    );
    expect(used).toEqual(['encryption-key']);
    expect(used.filter((name) => !known.has(name ?? ''))).toEqual([]);
  });

  it('starts nothing that depends on something that is not there', async () => {
    for (const runsWorkloads of [true, false]) {
      const plan = await planFor({ runsWorkloads });
      const names = new Set(['tunnel', ...plan.processes.map(({ name }) => name)]);
      const unknown = plan.processes.flatMap((process) =>
        process.dependsOn.filter((name) => !names.has(name)),
      );
      expect(unknown).toEqual([]);
    }
  });
});

describe('mergeFiles', () => {
  const file = { path: '/a', content: 'x', mode: 0o600, uid: 0, gid: 0 };

  it('keeps one of two equal files', () => {
    expect(mergeFiles([file, { ...file }])).toEqual([file]);
  });

  it('refuses two contents for one path', () => {
    expect(() => mergeFiles([file, { ...file, content: 'y' }])).toThrow(
      'Two components want different contents for /a',
    );
  });
});

describe('redactPlan', () => {
  it('shows no content of a file that only its owner may read', async () => {
    const plan = await planFor();
    const shown = redactPlan(plan).files.filter(({ mode }) => (mode & 0o077) === 0);
    expect(shown.length).toBeGreaterThan(5);
    for (const { content } of shown) expect(content).toMatch(/^<\d+ characters, mode 0600>$/);
  });
});
