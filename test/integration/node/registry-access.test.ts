import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/time.ts';
import { createBootstrapToken, revokeBootstrapToken } from '../../../src/join/bootstrap-tokens.ts';
import { createTokenCheck } from '../../../src/join/check-token.ts';
import { createJoinRecords } from '../../../src/join/join-records.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { createRegistryAccess } from '../../../src/node/registry-access.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';

const remoteAddress = '192.0.2.7';
let plane: TestControlPlane;
let client: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane();
  client = plane.connect();
});
afterAll(async () => {
  await plane?.stop();
});

test('whoever is revoked or removed reads nothing 30 s later, and needs no API in between', async () => {
  let monotonicMs = 0;
  const records = createJoinRecords(client);
  const tokens = createTokenCheck({ client, clock: systemClock });
  const mayRead = createRegistryAccess({ tokens, records, monotonicMs: () => monotonicMs });
  const nowMs = Date.now();
  const token = await createBootstrapToken(client, {
    ...{ role: 'worker', ttlMs: 3_600_000, nowMs, description: 'a test' },
  });
  const byToken = {
    peer: { remoteAddress },
    authorization: `Bearer ${token.id}.${token.secret}`,
  };
  const names = { commonName: 'system:node:edge-1', organizations: ['system:nodes'] };
  const certificate = { ...names, fingerprint: '', notAfterMs: nowMs };
  const byCertificate = { peer: { remoteAddress, certificate }, authorization: undefined };
  expect([await mayRead(byToken), await mayRead(byCertificate)]).toEqual([true, true]);

  await plane.stopApiServer();
  expect([await mayRead(byToken), await mayRead(byCertificate)]).toEqual([true, true]);
  await plane.startApiServer();

  await revokeBootstrapToken(client, token.id, Date.now());
  await records.markRemoved('edge-1', Date.now());
  monotonicMs = 30_000;
  expect([await mayRead(byToken), await mayRead(byCertificate)]).toEqual([false, false]);
});
