import { describe, expect, test } from 'vitest';
import { apiServersOf } from '../../../src/api-endpoint/follow-endpoints.ts';
import { cleanServers, parseLearnedServers } from '../../../src/api-endpoint/learned-servers.ts';

describe('a list of servers', () => {
  test('holds what is a host and a port, once', () => {
    const given = [
      '10.0.0.4:6443',
      'a.example:6443',
      '10.0.0.4:6443',
      'a.example',
      7,
      null,
      '[fd00::4]:6443',
    ];
    expect(cleanServers(given)).toEqual(['10.0.0.4:6443', 'a.example:6443', '[fd00::4]:6443']);
  });

  test('has a bound', () => {
    const many = Array.from({ length: 100 }, (_, i) => `10.0.0.${i}:6443`);
    expect(cleanServers(many)).toHaveLength(16);
  });
});

describe('the file of learned servers', () => {
  test('is read as it was written', () => {
    expect(parseLearnedServers('{"version": 1, "servers": ["10.0.0.4:6443"]}')).toEqual([
      '10.0.0.4:6443',
    ]);
  });

  test.each(['', '{', 'null', '7', '[]', '{"servers": 7}', '{"servers": [{}]}'])(
    'that is %j holds none',
    (text) => {
      expect(parseLearnedServers(text)).toEqual([]);
    },
  );
});

describe('the EndpointSlice of the API', () => {
  const slice = (fields: object) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'kubernetes', namespace: 'default' },
    ...fields,
  });
  const ports = [{ name: 'https', port: 6443 }];

  test('names its ready servers', () => {
    const endpoints = [
      { addresses: ['10.0.0.4'], conditions: { ready: true } },
      { addresses: ['10.0.0.5'], conditions: { ready: false } },
      { addresses: ['fd00::4', '10.0.0.6'] },
    ];
    expect(apiServersOf(slice({ endpoints, ports }))).toEqual([
      '10.0.0.4:6443',
      '[fd00::4]:6443',
      '10.0.0.6:6443',
    ]);
  });

  test.each([
    {},
    { endpoints: null, ports },
    { endpoints: [{ addresses: ['10.0.0.4'] }], ports: [] },
  ])('may be empty: %j', (fields) => {
    expect(apiServersOf(slice(fields))).toEqual([]);
  });
});
