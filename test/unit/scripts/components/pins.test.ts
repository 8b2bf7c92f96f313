import { describe, expect, test } from 'vitest';
import { goRecipe } from '../../../../scripts/components/go-recipes.ts';
import {
  fillVersion,
  findPinConflicts,
  parseGoMod,
  pinnedVersion,
} from '../../../../scripts/components/pins.ts';

const goMod = `module mini-k8s.io/components/kubernetes

go 1.26.0

require k8s.io/kubernetes v1.37.1 // a comment with k8s.io/kubernetes v9.9.9

require (
	cel.dev/expr v0.25.1 // indirect
	k8s.io/api v0.37.1
)

replace k8s.io/api => k8s.io/api v0.37.1

replace (
	k8s.io/client-go => k8s.io/client-go v0.37.1
	example.com/other v1.0.0 => example.com/fork v1.0.1
)
`;

describe('parseGoMod', () => {
  test('reads single and grouped directives, without comments', () => {
    const { requires, replaces } = parseGoMod(goMod);
    expect(Object.fromEntries(requires)).toEqual({
      'k8s.io/kubernetes': 'v1.37.1',
      'cel.dev/expr': 'v0.25.1',
      'k8s.io/api': 'v0.37.1',
    });
    expect(Object.fromEntries(replaces)).toEqual({
      'k8s.io/api': 'k8s.io/api v0.37.1',
      'k8s.io/client-go': 'k8s.io/client-go v0.37.1',
      'example.com/other': 'example.com/fork v1.0.1',
    });
  });
});

describe('findPinConflicts', () => {
  const kubernetes = goRecipe('kubernetes');

  test('is content when go.mod and the catalog agree', () => {
    expect(findPinConflicts(kubernetes, '1.37.1', parseGoMod(goMod))).toEqual([]);
  });

  test('names the module, both versions and the file', () => {
    const [conflict] = findPinConflicts(kubernetes, '1.37.2', parseGoMod(goMod));
    expect(conflict?.message).toBe(
      'Cannot build kubernetes: assets/artifacts.json pins 1.37.2, but scripts/components/kubernetes/go.mod has k8s.io/kubernetes v1.37.1 instead of v1.37.2',
    );
    expect(conflict?.fix).toContain('go get k8s.io/kubernetes@v1.37.2');
  });

  test('finds a library of Kubernetes that was left at another version, and no other replacement', () => {
    const stale = goMod.replace('k8s.io/client-go v0.37.1', 'k8s.io/client-go v0.37.0');
    const conflicts = findPinConflicts(kubernetes, '1.37.1', parseGoMod(stale));
    expect(conflicts.map((conflict) => conflict.why)).toEqual([
      'assets/artifacts.json pins 1.37.1, but scripts/components/kubernetes/go.mod has k8s.io/client-go v0.37.0 instead of v0.37.1',
    ]);
  });

  test('says so when the module is not there at all', () => {
    const [conflict] = findPinConflicts(goRecipe('runc'), '1.5.2', parseGoMod(goMod));
    expect(conflict?.why).toContain('github.com/opencontainers/runc not at all instead of v1.5.2');
  });
});

test('fillVersion fills only what it knows', () => {
  expect(fillVersion('v{version} {major}.{minor}.{patch} {other}', '1.37.1')).toBe(
    'v1.37.1 1.37.1 {other}',
  );
});

test('the version of a component without an entry of its own comes from its image', () => {
  expect(pinnedVersion('kube-router')).toMatch(/^\d+\.\d+\.\d+$/);
});
