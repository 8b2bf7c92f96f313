import { describe, expect, it } from 'vitest';
import { declaredScopes, desiredStack, resolveNamespaces } from '../../../src/stacks/desired.ts';

function object(kind: string, name: string, namespace?: string) {
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  return { apiVersion: 'v1', kind, metadata };
}

const bodies = (stack: ReturnType<typeof desiredStack>) =>
  stack.objects.map(({ body }) => JSON.parse(body));

describe('desiredStack', () => {
  it('labels objects and drops what only the server may set', () => {
    const exported = {
      ...object('ConfigMap', 'a'),
      metadata: {
        name: 'a',
        uid: 'u',
        resourceVersion: '1',
        managedFields: [],
        labels: { k: 'v' },
      },
    };
    const [body] = bodies(desiredStack({ name: 'app', objects: [exported] }, 'user'));
    const labels = { k: 'v', 'mini-k8s.io/stack': 'app' };
    expect(body).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', labels } });
  });

  it('refuses an object that is there twice, in whatever version', () => {
    const objects = [
      { ...object('Deployment', 'a', 'x'), apiVersion: 'apps/v1' },
      { ...object('Deployment', 'a', 'x'), apiVersion: 'apps/v1beta1' },
    ];
    expect(() => desiredStack({ name: 'app', objects }, 'user')).toThrow(
      'Cannot use stack app: Deployment x/a is in it twice',
    );
  });
});

describe('resolveNamespaces', () => {
  const scopes = new Map([
    [' ConfigMap', true],
    [' Namespace', false],
  ]);

  it('fills and removes namespaces, and leaves unknown kinds as they are', () => {
    const objects = [object('ConfigMap', 'a'), object('Namespace', 'b', 'x'), object('Other', 'c')];
    const resolved = resolveNamespaces(desiredStack({ name: 'app', objects }, 'user'), scopes);
    expect(resolved.objects.map(({ key }) => key).sort()).toEqual([
      ' ConfigMap default/a',
      ' Namespace /b',
      ' Other /c',
    ]);
    const namespace = bodies(resolved).find(({ kind }) => kind === 'Namespace');
    expect(namespace.metadata.namespace).toBeUndefined();
  });

  it('refuses an object with and without its namespace', () => {
    const objects = [object('ConfigMap', 'a'), object('ConfigMap', 'a', 'default')];
    const stack = desiredStack({ name: 'app', objects }, 'user');
    expect(() => resolveNamespaces(stack, scopes)).toThrow('ConfigMap default/a is in it twice');
  });
});

it('declaredScopes reads the definitions of a stack', () => {
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.test.example' },
    spec: { group: 'test.example', scope: 'Cluster', names: { kind: 'Widget' } },
  };
  const stack = desiredStack({ name: 'app', objects: [definition] }, 'user');
  expect(declaredScopes(stack)).toEqual(new Map([['test.example Widget', false]]));
});
