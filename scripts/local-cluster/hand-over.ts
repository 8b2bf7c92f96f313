import { existsSync } from 'node:fs';
import { chmod, chown, lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.ts';
import { writeFileAtomic } from '../../src/base/files.ts';
import type { Place } from './place.ts';
import type { Workspace } from './workspace.ts';

/** Writes what the person at the terminal uses: the administrator's kubeconfig and a kubectl. */
export async function handOver(workspace: Workspace, place: Place): Promise<void> {
  const { exitCode, stdout, stderr } = await place.run([
    'kubeconfig',
    'admin',
    '--server',
    place.server,
  ]);
  if (exitCode !== 0) {
    throw new UserError({ what: 'write the kubeconfig', why: stderr.trim() || `exit ${exitCode}` });
  }
  await writeFileAtomic(workspace.kubeconfig, stdout, { mode: 0o600 });
  await place.copyKubectl(workspace.kubectl);
  await chmod(workspace.kubectl, 0o755);
  await giveToCaller(workspace);
}

/** What to type next. */
export function nextSteps(workspace: Workspace, place: Place): string {
  const relative = (file: string) => path.relative(workspace.root, file);
  const commands = [
    [`${relative(workspace.kubectl)} get pods -A`, 'or a kubectl of your own'],
    ...(existsSync(workspace.enterScript)
      ? [
          [
            `sudo ${relative(workspace.enterScript)} mini-k8s status`,
            'a command in the node; a shell without one',
          ],
        ]
      : []),
    ['sudo ./scripts/down', 'removes every trace'],
  ] as const;
  const width = Math.max(...commands.map(([command]) => command.length));
  return `The cluster runs on ${place.description}. From ${workspace.root}:

  export KUBECONFIG=$PWD/${relative(workspace.kubeconfig)}
${commands.map(([command, comment]) => `  ${command.padEnd(width)}   # ${comment}`).join('\n')}

Its log: ${relative(workspace.logDirectory)}/controller.log`;
}

/** After `sudo ./scripts/up`, the checkout stays the caller's: with a kubeconfig that they can read. */
async function giveToCaller(workspace: Workspace): Promise<void> {
  const uid = Number(process.env['SUDO_UID']);
  const gid = Number(process.env['SUDO_GID']);
  if (!Number.isInteger(uid) || !Number.isInteger(gid) || uid === 0) return;
  await chown(workspace.upDirectory, uid, gid);
  for (const name of await readdir(workspace.upDirectory)) {
    const file = path.join(workspace.upDirectory, name);
    if ((await lstat(file)).isFile()) await chown(file, uid, gid);
  }
}
