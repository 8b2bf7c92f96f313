import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/kube-client/types.ts';
import { desiredStack } from '../../../src/stacks/desired.ts';
import { type PlanInput, planStack } from '../../../src/stacks/plan.ts';
import { refKey } from '../../../src/stacks/refs.ts';
import type { LiveObject, StackRef } from '../../../src/stacks/types.ts';

const ref = (name: string, kind = 'ConfigMap'): StackRef =>
  kind === 'Namespace'
    ? { apiVersion: 'v1', kind, name }
    : { apiVersion: 'v1', kind, name, namespace: 'default' };

function object(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } };
}

function live(each: StackRef, change: Partial<LiveObject> = {}): [string, LiveObject] {
  const base = { ref: each, stack: 'app', uid: `uid-${each.name}`, resourceVersion: '5' };
  return [refKey(each), { ...base, appliedAt: undefined, ...change }];
}

/** Everything applied and untouched: a plan of nothing. */
function settled(names: readonly string[]): PlanInput {
  const desired = desiredStack({ name: 'app', objects: names.map(object) }, 'user');
  return {
    desired,
    applied: new Map(
      desired.objects.map(({ key, body, ref: { name } }) => [
        key,
        { body, uid: `uid-${name}`, resourceVersion: '5' },
      ]),
    ),
    live: {
      objects: new Map(desired.objects.map((each) => live(each.ref))),
      unlisted: new Set(),
      unserved: new Set(),
    },
    inventory: desired.objects.map((each) => each.ref),
    owners: new Map(desired.objects.map(({ key }) => [key, 'app'])),
  };
}

function planned(input: PlanInput) {
  const plan = planStack(input);
  return {
    apply: plan.apply.map((each) => each.ref.name),
    prune: plan.prune.map((each) => each.ref.name),
    undecided: plan.undecided.map((each) => each.name),
  };
}

const nothing = { apply: [], prune: [], undecided: [] };

describe('planStack', () => {
  it('does nothing when everything is as it was applied', () => {
    expect(planned(settled(['a', 'b']))).toEqual(nothing);
  });

  it('applies everything when nothing is known', () => {
    expect(planned({ ...settled(['a', 'b']), applied: new Map() })).toEqual({
      ...nothing,
      apply: ['a', 'b'],
    });
  });

  it.each([
    ['another version', { resourceVersion: '6' }],
    ['a remade object', { uid: 'other' }],
    ['another stack label', { stack: 'other' }],
  ])('applies again after %s', (_what, change) => {
    const input = settled(['a', 'b']);
    const objects = new Map([...input.live.objects, live(ref('a'), change)]);
    expect(planned({ ...input, live: { ...input.live, objects } }).apply).toEqual(['a']);
  });

  it('applies what is missing, but concludes nothing from a kind that could not be listed', () => {
    const input = settled(['a']);
    const empty = { objects: new Map(), unlisted: new Set<string>(), unserved: new Set<string>() };
    expect(planned({ ...input, live: empty }).apply).toEqual(['a']);
    const failed = { ...empty, unlisted: new Set([' ConfigMap']) };
    expect(planned({ ...input, live: failed })).toEqual(nothing);
    const inventory = [...input.inventory, ref('old')];
    expect(planned({ ...input, live: failed, inventory }).undecided).toEqual(['old']);
    const unserved = { ...empty, unserved: new Set([' ConfigMap']) };
    expect(planned({ ...input, live: unserved, inventory }).undecided).toEqual(['old']);
  });

  it('prunes what left the set, only with its own label, never what another stack owns', () => {
    const input = settled(['a']);
    const gone = ['ours', 'foreign', 'moved', 'vanished'].map((name) => ref(name));
    const objects = new Map([
      ...input.live.objects,
      live(ref('ours')),
      live(ref('foreign'), { stack: 'other' }),
      live(ref('moved')),
      live(ref('never-in-the-inventory')),
    ]);
    const plan = planned({
      ...input,
      live: { ...input.live, objects },
      inventory: [...input.inventory, ...gone],
      owners: new Map([...input.owners, [refKey(ref('moved')), 'new-home']]),
    });
    expect(plan).toEqual({ ...nothing, prune: ['ours'] });
  });

  it('never prunes the namespaces of Kubernetes', () => {
    const input = settled([]);
    const system = ref('kube-system', 'Namespace');
    const own = ref('mine', 'Namespace');
    const objects = new Map([live(system), live(own)]);
    const inventory = [system, own];
    const plan = planned({ ...input, live: { ...input.live, objects }, inventory });
    expect(plan.prune).toEqual(['mine']);
  });

  it('leaves to another stack what that one owns', () => {
    const input = settled(['a', 'b']);
    const owners = new Map([...input.owners, [refKey(ref('a')), 'other']]);
    expect(planned({ ...input, applied: new Map(), owners }).apply).toEqual(['b']);
  });

  it('never deletes an object that is desired', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'));
    fc.assert(
      fc.property(names, names, names, (wants, has, exists) => {
        const input = settled(wants);
        const objects = new Map(exists.map((name) => live(ref(name))));
        const inventory = has.map((name) => ref(name));
        const plan = planned({ ...input, live: { ...input.live, objects }, inventory });
        const left = has.filter((name) => !wants.includes(name) && exists.includes(name));
        expect(plan.prune.toSorted()).toEqual(left.toSorted());
        expect(plan.apply).toEqual(wants.filter((name) => !exists.includes(name)));
      }),
    );
  });
});
