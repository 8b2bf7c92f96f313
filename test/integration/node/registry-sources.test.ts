import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { findImage } from '../../../src/artifacts/store.ts';
import { systemClock } from '../../../src/base/time.ts';
import type { NodeEvent } from '../../../src/node/events.ts';
import { upstreamRegistriesSource } from '../../../src/node/registry-sources.ts';
import { openBlackHole } from '../../support/black-hole.ts';
import { pushImage, startDockerRegistry } from '../../support/docker-registry.ts';
import { emptyStore, makeTar, neverAborted, temporaryFolder } from '../artifacts/bundle-fixture.ts';

test('a registry that drops packets costs a start some seconds, and the next one is asked', async () => {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  const registry = await startDockerRegistry({ folder });
  const layer = makeTar([{ path: 'content', content: randomBytes(1000) }]);
  await pushImage(registry.base, { repository: 'team/web', tag: '1' }, [{ arch: 'amd64', layer }]);
  const other = makeTar([{ path: 'content', content: randomBytes(1000) }]);
  await pushImage(registry.base, { repository: 'team/web', tag: '2' }, [
    { arch: 'amd64', layer: other },
  ]);
  const silent = `127.0.0.1:${await openBlackHole()}`;
  const events: NodeEvent[] = [];
  const parts = { store, clock: systemClock, onEvent: (event: NodeEvent) => events.push(event) };
  const source = upstreamRegistriesSource(
    { plainHttp: [silent, registry.host] },
    { ...parts, ca: '', proxy: { http: '', https: '', noProxy: [] } },
  );
  const ensureMs = async (references: readonly string[]) => {
    const startedAt = performance.now();
    await ensureArtifacts(
      references.map((reference) => ({ kind: 'image', reference, arch: 'amd64' })),
      { ...parts, sources: [source], signal: neverAborted },
    );
    return performance.now() - startedAt;
  };
  const served = `${registry.host}/team/web:1`;
  const references = [`${silent}/team/one:1`, `${silent}/team/two:1`, served];
  const tookMs = await ensureMs(references);
  const failures = events.filter((event) => event.type === 'source-failed');
  expect(failures).toMatchObject([
    { why: expect.stringContaining(`${silent} did not answer within 4 s`) },
  ]);
  expect(await findImage(store, served, 'amd64')).toBeDefined();
  expect(events).toContainEqual({ type: 'image-missing', reference: references[1] });
  // 4 s for the connection and no second wait, neither for the same image nor for another;
  // and what this machine takes for an image that waits for nobody.
  const ordinaryMs = await ensureMs([`${registry.host}/team/web:2`]);
  expect(tookMs).toBeLessThan(12_000 + 3 * ordinaryMs);
});
