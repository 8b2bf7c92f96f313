import { describe, expect, it } from 'vitest';
import { collectionPath, listQuery, objectPath } from '../../../src/kube-client/paths.ts';

const deployments = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
};
const nodes = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false };

describe('paths of the API', () => {
  it('names collections and objects of core and of groups', () => {
    expect(collectionPath(deployments)).toBe('/apis/apps/v1/deployments');
    expect(collectionPath(deployments, 'a')).toBe('/apis/apps/v1/namespaces/a/deployments');
    expect(collectionPath(nodes, 'ignored')).toBe('/api/v1/nodes');
    expect(objectPath({ resource: nodes, name: 'n' }, 'status')).toBe('/api/v1/nodes/n/status');
  });

  it.each(['', '.', '..', '../a', 'a/b', '%2e%2e'])(
    'refuses the name "%s": it leads elsewhere',
    (name) => {
      const invalid = expect.objectContaining({ code: 422, reason: 'Invalid' });
      expect(() => objectPath({ resource: nodes, name })).toThrow(invalid);
      expect(() => objectPath({ resource: deployments, name: 'd', namespace: name })).toThrow(
        invalid,
      );
    },
  );

  it('encodes a name', () => {
    expect(objectPath({ resource: nodes, name: 'a?b c' })).toBe('/api/v1/nodes/a%3Fb%20c');
  });

  it('refuses a namespaced object without its namespace', () => {
    expect(() => objectPath({ resource: deployments, name: 'd' })).toThrow('needs a namespace');
  });

  it('encodes selectors', () => {
    expect(listQuery({ labelSelector: 'a=b,!c', fieldSelector: 'x=y' }, { watch: 'true' })).toBe(
      'watch=true&labelSelector=a%3Db%2C%21c&fieldSelector=x%3Dy',
    );
  });
});
