import { describe, expect, it } from 'vitest';
import { planStages, selectionFlags } from '../../../../scripts/conformance-run/stages.ts';

describe('stages of a conformance run', () => {
  it('are three for all tests, and no conformance test is in none or in two', () => {
    const stages = planStages({ selection: { kind: 'full' }, procs: 6 });
    expect(stages.map(({ name, procs }) => [name, procs])).toEqual([
      ['parallel', 6],
      ['slow', 4],
      ['serial', 1],
    ]);
    expect(stages.every(({ focus, skip }) => focus === undefined && skip === undefined)).toBe(true);
    for (const isSlow of [false, true]) {
      for (const isSerial of [false, true]) {
        const taking = stages.filter((stage) => takes(stage.labelFilter, { isSlow, isSerial }));
        expect(taking.map(({ name }) => name)).toEqual([
          isSerial ? 'serial' : isSlow ? 'slow' : 'parallel',
        ]);
      }
    }
  });

  it('have no more processes than were asked for', () => {
    const stages = planStages({ selection: { kind: 'full' }, procs: 2 });
    expect(stages.map(({ procs }) => procs)).toEqual([2, 2, 1]);
  });

  it('have the pattern in each for a focus', () => {
    const stages = planStages({ selection: { kind: 'focus', pattern: 'DNS|Ingress' }, procs: 6 });
    expect(stages.map(({ focus }) => focus)).toEqual(Array(3).fill('DNS|Ingress'));
    expect(stages.flatMap((stage) => selectionFlags(stage, '--ginkgo.'))).toContain(
      '--ginkgo.focus=DNS|Ingress',
    );
  });

  it('are one for a quick run, of four areas and without tests that watch for minutes', () => {
    const [stage, ...others] = planStages({ selection: { kind: 'quick' }, procs: 6 });
    expect(others).toEqual([]);
    const isIn = (name: string) =>
      new RegExp(stage?.focus ?? '^$').test(name) && !new RegExp(stage?.skip ?? '').test(name);
    expect(isIn('[sig-network] DNS should provide DNS for the cluster [Conformance]')).toBe(true);
    expect(isIn('[sig-api-machinery] Watchers should receive events [Conformance]')).toBe(false);
    expect(
      isIn('[sig-node] Probing container should *not* be restarted with a GRPC liveness probe'),
    ).toBe(false);
    expect(
      isIn('[sig-node] Probing container should be restarted with a GRPC liveness probe'),
    ).toBe(true);
  });
});

/** Whether ginkgo's filter takes a conformance test with these labels. */
function takes(
  filter: string,
  { isSlow, isSerial }: { readonly isSlow: boolean; readonly isSerial: boolean },
): boolean {
  const labels = new Map([
    ['Conformance', true],
    ['Slow', isSlow],
    ['Serial', isSerial],
  ]);
  return filter.split(' && ').every((word) => {
    const has = labels.get(word.replace('!', ''));
    if (has === undefined) throw new Error(`unknown label in ${filter}`);
    return word.startsWith('!') ? !has : has;
  });
}
