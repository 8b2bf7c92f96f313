// ./scripts/down: removes what ./scripts/up has made. See scripts/local-cluster/usage-down.txt.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { cleanStaleNodes } from '../test/support/node/remove-node.ts';
import { explainFailure } from './local-cluster/explain-failure.ts';
import { removeHostPlace } from './local-cluster/host-place.ts';
import { removeNodePlace } from './local-cluster/node-place.ts';
import { workspaceOf } from './local-cluster/workspace.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.length > 0) {
    console.error(
      `./scripts/down takes no arguments, got ${args.join(' ')}\nfix: ./scripts/down --help`,
    );
    return 2;
  }
  try {
    return await down();
  } catch (error) {
    return explainFailure(error);
  }
}

async function down(): Promise<number> {
  const workspace = workspaceOf(path.resolve(import.meta.dirname, '..'));
  const hadHost = await removeHostPlace(workspace, (line) => console.log(line));
  const hadNode = await removeNodePlace(workspace);
  const hadFiles = existsSync(workspace.upDirectory);
  await rm(workspace.upDirectory, { recursive: true, force: true });
  await cleanStaleNodes();
  console.log(hadHost || hadNode || hadFiles ? 'Down: nothing of it is left.' : 'Nothing to do.');
  return 0;
}
