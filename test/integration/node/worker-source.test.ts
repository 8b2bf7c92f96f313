import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { listOffered } from '../../../src/artifacts/registry-offer.ts';
import { createRegistryRoute } from '../../../src/artifacts/registry-route.ts';
import type { ArtifactStore } from '../../../src/artifacts/store.ts';
import { writeFileAtomic } from '../../../src/base/files.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { joinPaths } from '../../../src/join/join-paths.ts';
import type { JoinDocument } from '../../../src/join/types.ts';
import type { StoredMembership } from '../../../src/node/membership.ts';
import { type WorkerSourceOptions, workerSource } from '../../../src/node/worker-source.ts';
import {
  emptyStore,
  neverAborted,
  temporaryFolder,
  wantTool,
} from '../artifacts/bundle-fixture.ts';
import { addBundle } from '../artifacts/controller-fixture.ts';
import { type RigAuthority, rigAuthority, startGateway } from '../gateway/rig.ts';
import { documentOf, machine } from '../join/rig.ts';

const site = { name: 'main', isBehindNat: false };

/** A gateway with a store, whose join document names what is in it. */
async function startController(authority: RigAuthority, store: ArtifactStore) {
  const state = { refreshes: 0, isAnswering: true };
  const seen: string[] = [];
  const address = () => `127.0.0.1:${rig.port}`;
  const rig = await startGateway({
    authority,
    makeRoutes: (logger) => [
      {
        prefix: joinPaths.prefix,
        handle: async (_request, response) => {
          state.refreshes += 1;
          if (!state.isAnswering) return void response.writeHead(503).end();
          const document = await documentFor(authority, store);
          response.end(JSON.stringify({ ...document, gateways: [address()] }));
        },
      },
      createRegistryRoute({
        ...{ store, logger },
        authorize: ({ url }) => {
          seen.push(url ?? '');
          return true;
        },
      }),
    ],
  });
  onTestFinished(() => rig.stop());
  return { state, seen, address: address() };
}

async function documentFor(authority: RigAuthority, store: ArtifactStore): Promise<JoinDocument> {
  return { ...documentOf(authority, site), artifacts: await listOffered(store, 'amd64') };
}

interface Scene {
  readonly controller: Awaited<ReturnType<typeof startController>>;
  readonly kept: StoredMembership[];
  /** Of the join document of before the upgrade. */
  readonly oldDigest: string;
  provide(options?: Partial<WorkerSourceOptions>): Promise<void>;
}

/** A worker that joined before its controller was given another build of the same version. */
async function upgradedController(): Promise<Scene> {
  const authority = rigAuthority();
  const folder = await temporaryFolder();
  const [before, after, own] = await Promise.all(
    ['before', 'after', 'worker'].map((name) => emptyStore(path.join(folder, name))),
  );
  if (before === undefined || after === undefined || own === undefined) throw new Error('stores');
  await addBundle(before, folder, {});
  await addBundle(after, folder, {});
  const controller = await startController(authority, after);
  const pem = path.join(folder, 'kubelet-client-current.pem');
  const { cert, key } = authority.node('edge-1');
  await writeFileAtomic(pem, `${cert}${key}`);
  const outdated = await documentFor(authority, before);
  const stored = { nodeName: 'edge-1', document: { ...outdated, gateways: [controller.address] } };
  const kept: StoredMembership[] = [];
  return {
    controller,
    kept,
    oldDigest: outdated.artifacts[0]?.digest ?? '',
    provide: (options = {}) => {
      const source = workerSource({
        stored,
        isFresh: false,
        credentials: { kind: 'certificate', certFile: pem, keyFile: pem },
        request: () => Promise.resolve(machine),
        keep: async (newer) => void kept.push(newer),
        ...{ store: own, onEvent: () => {}, logger: silentLogger },
        ...{ clock: systemClock, proxy: undefined, random: () => 0.5 },
        timing: { firstPauseMs: 5, rounds: 2, stallMs: 5_000 },
        ...options,
      });
      const ensure = { store: own, sources: [source], onEvent: () => {}, signal: neverAborted };
      return ensureArtifacts([wantTool(path.join(folder, 'bin'))], ensure);
    },
  };
}

test('what the controllers have now is asked for, not what they had when the worker joined', async () => {
  const { controller, kept, oldDigest, provide } = await upgradedController();
  await provide();
  expect(controller.state.refreshes).toBe(1);
  const newDigest = kept[0]?.document.artifacts[0]?.digest;
  expect(newDigest).toMatch(/^sha256:/);
  expect(newDigest).not.toBe(oldDigest);
  expect(kept).toHaveLength(1);
  expect(controller.seen[0]).toBe(`/v2/mini-k8s/tool/manifests/${newDigest}`);
});

test('without a present document the tag is asked for, which every build has', async () => {
  const { controller, kept, provide } = await upgradedController();
  controller.state.isAnswering = false;
  await provide();
  expect(kept).toEqual([]);
  expect(controller.seen[0]).toBe('/v2/mini-k8s/tool/manifests/1.0.0-amd64');
});

test('a document that has just come is not asked for again, and a node that lacks nothing asks nobody', async () => {
  const { controller, oldDigest, provide } = await upgradedController();
  await expect(provide({ isFresh: true })).rejects.toThrow('without all of these');
  expect(controller.seen[0]).toBe(`/v2/mini-k8s/tool/manifests/${oldDigest}`);
  expect(controller.state.refreshes).toBe(0);
  await provide();
  const requests = controller.seen.length;
  await provide();
  expect([controller.state.refreshes, controller.seen.length]).toEqual([1, requests]);
});
