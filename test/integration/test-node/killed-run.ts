import { spawn } from 'node:child_process';
import { waitFor } from '../../../src/base/time.ts';

/** Runs what makes nodes and sites as a process of its own, and kills that when all of it is there. */
export async function killRunOf(
  program: string,
  whileItLives: () => Promise<void> = async () => {},
): Promise<void> {
  const source = `${program}
    console.log('made');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  try {
    await waitFor(() => said.includes('made'), { subject: 'the node', timeoutMs: 120_000 });
    await whileItLives();
  } finally {
    child.kill('SIGKILL');
  }
  await waitFor(() => child.signalCode !== null, { subject: 'the end', timeoutMs: 20_000 });
}
