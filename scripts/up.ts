// ./scripts/up: a one-node cluster from this checkout, in the background. See scripts/local-cluster/usage-up.txt.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../src/base/errors.ts';
import { ensurePackages, NODE_COMMANDS } from './local-cluster/ensure-packages.ts';
import { explainFailure } from './local-cluster/explain-failure.ts';
import { handOver, nextSteps } from './local-cluster/hand-over.ts';
import { createHostPlace, findHostPlace } from './local-cluster/host-place.ts';
import { requireKernel } from './local-cluster/kernel.ts';
import { createNodePlace, findNodePlace } from './local-cluster/node-place.ts';
import { parseUpOptions, type UpOptions } from './local-cluster/options.ts';
import type { Place } from './local-cluster/place.ts';
import { waitReady } from './local-cluster/wait-ready.ts';
import {
  type Bundle,
  buildComponents,
  buildExecutable,
  type Workspace,
  workspaceOf,
} from './local-cluster/workspace.ts';

/** Exit code for a command line that makes no sense. */
const USAGE_ERROR = 2;

process.once('SIGINT', () => stopped(130));
process.once('SIGTERM', () => stopped(143));
process.exitCode = await main();

async function main(): Promise<number> {
  let options: UpOptions;
  try {
    options = parseUpOptions(process.argv.slice(2));
  } catch (error) {
    return explainFailure(error, USAGE_ERROR);
  }
  try {
    return await up(options);
  } catch (error) {
    return explainFailure(error);
  }
}

async function up(options: UpOptions): Promise<number> {
  const started = performance.now();
  const workspace = workspaceOf(path.resolve(import.meta.dirname, '..'));
  const found = (await findNodePlace(workspace)) ?? (await findHostPlace(workspace));
  const place = found ?? (await prepare(workspace, options));
  const wasRunning = found !== undefined && (await place.isControllerRunning());
  if (wasRunning) say(`It is up already, on ${place.description}.`);
  else {
    say(`Starting mini-k8s on ${place.description}`);
    await place.startController();
  }
  const readiness = await waitReady({
    place,
    logDirectory: workspace.logDirectory,
    say: wasRunning ? () => {} : (line) => say(`  ${line}`),
  });
  if (readiness.kind === 'ended') {
    say(`The controller has ended. Its last lines (${workspace.logDirectory}/controller.log):\n`);
    say(readiness.log);
    say('\nRun ./scripts/up again to start it again, ./scripts/down to remove what is there.');
    return 1;
  }
  await handOver(workspace, place);
  if (readiness.kind === 'ready') {
    const seconds = Math.round((performance.now() - started) / 1000);
    say(`\nEverything is Ready${wasRunning ? '' : `, ${seconds} s after the start`}.`);
    say(nextSteps(workspace, place));
    return 0;
  }
  say('\nNot everything is Ready after 3 minutes; it goes on trying:');
  for (const reason of readiness.reasons) say(`  ${reason}`);
  say(nextSteps(workspace, place));
  return 1;
}

/** Builds what is missing and makes the place; no controller runs in it yet. */
async function prepare(workspace: Workspace, options: UpOptions): Promise<Place> {
  if (!options.isOnHost) {
    await ensurePackages(NODE_COMMANDS, say);
    await requireKernel();
  }
  const givenBundle = options.bundle === undefined ? undefined : await readBundle(options.bundle);
  say('Building mini-k8s');
  await buildExecutable(workspace);
  if (givenBundle === undefined) say('Getting the components (the first time takes a while)');
  const bundle = givenBundle ?? (await buildComponents(workspace));
  await mkdir(workspace.upDirectory, { recursive: true });
  if (!options.isOnHost && existsSync(path.join(workspace.nodeDirectory, 'disk.img'))) {
    say(
      'The disk of an earlier start is there: its cluster goes on (a new one: ./scripts/down first)',
    );
  }
  return options.isOnHost
    ? createHostPlace(workspace, bundle)
    : createNodePlace(workspace, options, bundle);
}

async function readBundle(directory: string): Promise<Bundle> {
  const index = path.join(directory, 'index.json');
  if (!existsSync(index)) {
    throw new UserError({
      what: `use the bundle ${directory}`,
      why: 'it has no index.json, so it is no OCI image layout',
      fix: 'name a directory that ./scripts/build-components --out has written',
    });
  }
  const indexSha256 = createHash('sha256')
    .update(await readFile(index))
    .digest('hex');
  return { directory, indexSha256 };
}

function stopped(exitCode: number): never {
  say('\nStopped. ./scripts/up goes on from here, ./scripts/down removes what is there.');
  process.exit(exitCode);
}

function say(line: string): void {
  console.log(line);
}
