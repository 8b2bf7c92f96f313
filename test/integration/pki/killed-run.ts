/**
 * Runs `ensurePki` and ends itself with SIGKILL around its n-th rename:
 * `killed-run.ts <directory> <before|after> <n> <epoch ms>`. Exits 0 when there are fewer renames.
 */
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { ensurePki } from '../../../src/pki/ensure-pki.ts';
import { clockAt, planIn } from './plan.ts';

const [directory = '', moment = '', count = '', epochMs = ''] = process.argv.slice(2);
const rename = promises.rename;
let renames = 0;

promises.rename = async (from, to) => {
  renames += 1;
  if (renames === Number(count) && moment === 'before') process.kill(process.pid, 'SIGKILL');
  await rename(from, to);
  if (renames === Number(count) && moment === 'after') process.kill(process.pid, 'SIGKILL');
};
syncBuiltinESMExports();

await ensurePki(planIn(directory), { clock: clockAt(Number(epochMs)), onEvent: () => {} });
