import { sleep } from '../base/time.ts';
import { isGroupAlive, signalGroup } from './proc-files.ts';

const pollMs = 10;
const patienceMs = 5_000;

/**
 * Ends whatever is left in a process group whose leader has ended. Processes that made a group of
 * their own are not in it and live on: that is how containers survive a restart of what started them.
 * Resolves when nothing of the group runs; false after 5 s, when one hangs inside the kernel.
 */
export async function endProcessGroup(processGroup: number): Promise<boolean> {
  if (!signalGroup(processGroup, 'SIGKILL')) return true;
  const deadline = performance.now() + patienceMs;
  while (isGroupAlive(processGroup)) {
    if (performance.now() >= deadline) return false;
    await sleep(pollMs);
  }
  return true;
}
