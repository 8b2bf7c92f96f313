import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';

/** What kubelet gives a pod's sandbox. */
const sandboxOomScore = '-998';

/**
 * Whether a child may be given a negative oom_score_adj. Some sandboxes refuse it even to root, and then
 * runc cannot start any sandbox unless containerd is told (`restrict_oom_score_adj`).
 */
export async function probeNegativeOomScore(): Promise<boolean> {
  const child = spawn('sleep', ['10'], { stdio: 'ignore' });
  try {
    await once(child, 'spawn');
    await writeFile(`/proc/${child.pid}/oom_score_adj`, sandboxOomScore);
    return true;
  } catch {
    return false;
  } finally {
    child.kill('SIGKILL');
  }
}
