import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import type { UpstreamRequest } from '../../fixtures/download-from-upstream.ts';
import { bundleProgram } from '../../support/bundled-program.ts';
import { watchMemory } from '../../support/watch-memory.ts';
import {
  makeUpstream,
  newStore,
  packed,
  plain,
  startUpstream,
  stored,
  writePem,
} from './upstream-fixture.ts';

const megabyte = 1_000_000;

test('400 MB, of which some are in an archive, stream through little memory', async () => {
  const sizes = { alpha: 200 * megabyte, beta: 150 * megabyte, gamma: 50 * megabyte };
  const upstream = makeUpstream({ sizes });
  const server = await startUpstream(upstream);
  const { store, folder } = await newStore();
  const request: UpstreamRequest = {
    mirror: `https://127.0.0.1:${server.port}`,
    caFile: await writePem(folder, server.authority),
    pins: upstream.pins,
    store: store.directory,
    artifacts: [plain('alpha', 'beta'), packed],
  };
  const program = await bundleProgram(folder, 'download-from-upstream');
  const child = spawn(process.execPath, [...V8_FLAGS, program, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [peakKb] = await Promise.all([watchMemory(child), text(child.stdout)]);
  expect((await stored(store, packed, 'gamma')).length).toBe(sizes.gamma);
  expect(
    (await stored(store, plain(), 'alpha')).equals(upstream.executables['alpha'] as Buffer),
  ).toBe(true);
  expect(peakKb).toBeGreaterThan(10 * 1024);
  expect(peakKb).toBeLessThan(40 * 1024);
});
