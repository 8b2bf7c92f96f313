import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import type { DownloadRequest } from '../../fixtures/download-from-controller.ts';
import { bundleProgram } from '../../support/bundled-program.ts';
import { storeState, wantTool } from './bundle-fixture.ts';
import { executableFile, makeStores, type TwoStores } from './controller-fixture.ts';
import { token } from './registry-fixture.ts';

const mebibyte = 2 ** 20;

interface Memory {
  readonly beforeKb: number;
  readonly peakKb: number;
}

test('300 MB stream through little memory of the controller and of the worker', async () => {
  const block = randomBytes(mebibyte);
  const large = Buffer.alloc(300 * mebibyte);
  for (let offset = 0; offset < large.length; offset += mebibyte) block.copy(large, offset);
  const stores = await makeStores({ executables: { large } });
  const server = await startServer(stores);
  const request: DownloadRequest = {
    ...{ controllers: [`127.0.0.1:${server.port}`], caFile: stores.caFile, token },
    store: stores.to.directory,
    artifacts: [wantTool('/bin', { members: ['large'] })],
  };
  const client = start(await bundleProgram(stores.folder, 'download-from-controller'), [
    JSON.stringify(request),
  ]);
  const worker = JSON.parse(await text(client.stdout)) as Memory;
  const controller = await server.finish();

  expect((await stat(await executableFile(stores.to, 'large'))).size).toBe(large.length);
  expect((await storeState(stores.to)).entries).toBe(1);
  expect(worker.beforeKb).toBeGreaterThan(1000);
  expect(controller.beforeKb).toBeGreaterThan(1000);

  expect(worker.peakKb).toBeLessThan(40 * 1024);
  expect(controller.peakKb).toBeLessThan(40 * 1024);
});

async function startServer(stores: TwoStores) {
  const cert = path.join(stores.folder, 'server.crt');
  const key = path.join(stores.folder, 'server.key');
  await writeFile(cert, stores.authority.server.cert);
  await writeFile(key, stores.authority.server.key);
  const program = await bundleProgram(stores.folder, 'serve-registry');
  const child = start(program, [stores.from.directory, cert, key]);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    port: Number(line),
    finish: async () => {
      child.stdin.end();
      return JSON.parse(await text(child.stdout)) as Memory;
    },
  };
}

function start(program: string, args: readonly string[]) {
  const child = spawn(process.execPath, [...V8_FLAGS, program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}
