import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import { admitJoin } from '../../../src/join/admit-node.ts';
import { createJoinRecords, type JoinRecords } from '../../../src/join/join-records.ts';
import { createRemovedNodes } from '../../../src/join/removed-nodes.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { machine } from './rig.ts';

let plane: TestControlPlane;
let client: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane();
  client = plane.connect();
});
afterAll(async () => {
  await plane?.stop();
});

function join(records: JoinRecords, nodeName: string): Promise<void> {
  const request = { ...machine, nodeName };
  const site = { name: 'main', isBehindNat: false };
  return records.update(nodeName, (current) =>
    admitJoin({ request, site, current, isAlive: false, nowMs: Date.now() }, 'abc123'),
  );
}

it('changes a record as one step, whoever else does', async () => {
  const records = createJoinRecords(client);
  await join(records, 'edge-9');
  const writers = Array.from({ length: 10 }, () =>
    records.update('edge-9', (current) =>
      current === undefined
        ? undefined
        : { ...current, addresses: [...current.addresses, '10.9.9.9'] },
    ),
  );
  await Promise.all(writers);
  const after = await records.get('edge-9');
  expect(after?.addresses).toHaveLength(machine.addresses.length + 10);
});

it('knows who was removed, who came back, and what happened while the API was away', async () => {
  const records = createJoinRecords(client);
  const told: string[] = [];
  await records.markRemoved('edge-2', Date.now());
  const stop = new AbortController();
  const removed = createRemovedNodes({
    client,
    logger: silentLogger,
    onRemoved: (name) => told.push(name),
  });
  const running = removed.run(stop.signal);
  const until = (subject: string, probe: () => boolean) =>
    waitFor(probe, { subject, timeoutMs: 60_000, intervalMs: 20, describe: () => told.join() });
  try {
    await until('edge-2 to be known', () => removed.isRemoved('edge-2'));
    await join(records, 'edge-1');
    await records.markRemoved('edge-1', Date.now());
    await until('edge-1 to be known', () => removed.isRemoved('edge-1'));
    await join(records, 'edge-1');
    await until('edge-1 to be back', () => !removed.isRemoved('edge-1'));
    expect(told).toEqual(['edge-2', 'edge-1']);
    await plane.stopApiServer();
    expect(removed.isRemoved('edge-2')).toBe(true);
    await plane.startApiServer();
    await join(records, 'edge-2');
    await records.markRemoved('edge-3', Date.now());
    await until('edge-3 to be known', () => removed.isRemoved('edge-3'));
    await until('edge-2 to be back', () => !removed.isRemoved('edge-2'));
  } finally {
    stop.abort();
    await running;
  }
});
