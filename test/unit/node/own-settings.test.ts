import { describe, expect, it } from 'vitest';
import { UserError, UserErrors } from '../../../src/base/errors.ts';
import { checkOwnSettings, type OwnSettings, ownConfig } from '../../../src/node/own-settings.ts';

async function problemsOf(settings: OwnSettings): Promise<string[]> {
  try {
    await checkOwnSettings(settings);
    return [];
  } catch (error) {
    const errors = error instanceof UserErrors ? error.errors : [error];
    return errors.map((one) => {
      expect(one).toBeInstanceOf(UserError);
      expect((one as UserError).fix).toBeTruthy();
      return (one as UserError).message;
    });
  }
}

describe('labels and taints of the command line', () => {
  it('become the configuration of the node', () => {
    const settings = {
      labels: 'example.com/rack=r1,size=,a=b=c',
      taints: 'x=y:NoSchedule,z:NoExecute',
    };
    expect(ownConfig(settings)).toEqual({
      labels: { 'example.com/rack': 'r1', size: '', a: 'b=c' },
      taints: ['x=y:NoSchedule', 'z:NoExecute'],
    });
    expect(ownConfig({})).toEqual({ labels: {}, taints: [] });
  });

  it('are taken when a kubelet would take them', async () => {
    const labels = 'example.com/rack=r1,topology.kubernetes.io/zone=a,node.kubernetes.io/x=1';
    expect(
      await problemsOf({ nodeName: 'edge-7.example', labels, taints: 'a=b:NoSchedule' }),
    ).toEqual([]);
    expect(await problemsOf({})).toEqual([]);
  });

  it('are refused with every mistake, in the words of the command line', async () => {
    const problems = await problemsOf({
      nodeName: 'Edge_7',
      labels: `rack,=x,size=not good,a=1,a=2,kubernetes.io/role=admin,b=${'x'.repeat(64)}`,
      taints: 'slow,a=b:Never',
    });
    const reserved =
      'is reserved for Kubernetes: a node may only give itself topology.kubernetes.io/region, topology.kubernetes.io/zone and labels below node.kubernetes.io/';
    expect(problems.toSorted()).toEqual([
      `Cannot name this node: "Edge_7" is not a node name: lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit`,
      'Cannot use --labels: "=x" is not key=value',
      `Cannot use --labels: "b=${'x'.repeat(64)}" is longer than 63 characters`,
      `Cannot use --labels: "kubernetes.io/role=admin" ${reserved}`,
      'Cannot use --labels: "rack" is not key=value',
      'Cannot use --labels: "size=not good" is not a label value',
      'Cannot use --labels: the key "a" is there twice',
      'Cannot use --taints: "a=b:Never" is not a taint such as key=value:NoSchedule',
      'Cannot use --taints: "slow" is not a taint such as key=value:NoSchedule',
    ]);
  });

  it.each([
    ['Edge-7', '--node-name edge-7'],
    ['edge_7', 'choose one with --node-name'],
  ])('name %s is refused, fix: %s', async (nodeName, fix) => {
    await expect(checkOwnSettings({ nodeName })).rejects.toMatchObject({ fix });
  });

  it.each([
    ['x'.repeat(64), 'is longer than 63 characters'],
    ['gateway.mini-k8s.internal', 'ends with .mini-k8s.internal, which is reserved'],
    ['', 'is not a node name'],
  ])('name %j is refused', async (nodeName, why) => {
    expect((await problemsOf({ nodeName }))[0]).toContain(why);
  });
});
