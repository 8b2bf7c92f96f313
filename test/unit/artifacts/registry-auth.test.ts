import { describe, expect, test } from 'vitest';
import {
  findCredentials,
  parseChallenges,
  repositoryOf,
  tokenAddress,
} from '../../../src/artifacts/registry-auth.ts';

describe('a challenge', () => {
  test.each([
    [
      'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull"',
      [
        {
          scheme: 'bearer',
          parameters: {
            realm: 'https://auth.test/token',
            service: 'registry.test',
            scope: 'repository:a/b:pull',
          },
        },
      ],
    ],
    [
      'Basic realm="a \\"b\\", c", Bearer realm=https',
      [
        { scheme: 'basic', parameters: { realm: 'a "b", c' } },
        { scheme: 'bearer', parameters: { realm: 'https' } },
      ],
    ],
    [
      'BASIC Realm = "x" , charset="UTF-8"',
      [{ scheme: 'basic', parameters: { realm: 'x', charset: 'UTF-8' } }],
    ],
    ['Negotiate', [{ scheme: 'negotiate', parameters: {} }]],
    ['realm="of nobody"', []],
    ['"broken', [{ scheme: 'broken', parameters: {} }]],
    ['', []],
  ])('%s is read', (header, expected) => {
    expect(parseChallenges(header)).toEqual(expected);
  });

  test.each([
    [
      { realm: 'https://auth.test/t?a=1', service: 's' },
      'https://auth.test/t?a=1&service=s&scope=repository%3Ateam%2Fweb%3Apull',
    ],
    [
      { realm: 'https://auth.test/t', scope: 'repository:x:pull' },
      'https://auth.test/t?scope=repository%3Ax%3Apull',
    ],
    // Credentials would go there in the clear.
    [{ realm: 'http://auth.test/t' }, undefined],
    [{ realm: '/token' }, undefined],
    [{}, undefined],
  ])('%j of a registry with TLS leads to %s', (parameters, address) => {
    const challenge = { scheme: 'bearer', parameters: parameters as Record<string, string> };
    const options = { repository: 'team/web', registry: 'https://registry.test' };
    expect(tokenAddress(challenge, options)).toBe(address);
  });

  test('of a registry without TLS may lead to a token server without', () => {
    const challenge = { scheme: 'bearer', parameters: { realm: 'http://auth.test/t' } };
    const options = { repository: 'a', registry: 'http://registry.test' };
    expect(tokenAddress(challenge, options)).toMatch(/^http:\/\/auth\.test\/t\?scope=/);
  });
});

test.each([
  ['/v2/team/web/manifests/1.0', 'team/web'],
  ['/v2/web/blobs/sha256:00?ns=x', 'web'],
  ['/v2/', ''],
])('%s is about %s', (path, repository) => {
  expect(repositoryOf(path)).toBe(repository);
});

describe('a file of credentials', () => {
  const auth = Buffer.from('somebody:a:secret').toString('base64');
  const file = JSON.stringify({
    auths: {
      'https://index.docker.io/v1/': { auth },
      'registry.test:5000': { username: 'u', password: 'p' },
      'empty.test': {},
    },
    credHelpers: { 'x.test': 'helper' },
  });
  test.each([
    ['docker.io', 'somebody:a:secret'],
    ['registry.test:5000', 'u:p'],
    ['registry.test', undefined],
    ['empty.test', undefined],
  ])('has for %s: %s', (registry, credentials) => {
    expect(findCredentials(file, registry)).toBe(credentials);
  });

  test('may be empty, and must be JSON', () => {
    expect(findCredentials('{}', 'docker.io')).toBeUndefined();
    expect(findCredentials('null', 'docker.io')).toBeUndefined();
    expect(() => findCredentials('auths:', 'docker.io')).toThrow(SyntaxError);
  });
});
