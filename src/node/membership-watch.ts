import { rm } from 'node:fs/promises';
import { ensureFile, fillSecrets } from '../base/files.ts';
import { type Clock, waitFor } from '../base/time.ts';
import { membershipComponent } from '../components/layout.ts';
import type { Paths } from '../config/paths.ts';
import type { Component } from '../supervisor/types.ts';
import { oneShotComponent } from './components.ts';
import { forgetToken, hasKubeletCertificate } from './membership.ts';
import type { SecretReader } from './plan-secrets.ts';
import type { WorkerPlan } from './plan-types.ts';

export interface MembershipWatchOptions {
  readonly worker: Pick<WorkerPlan, 'memberFiles'>;
  readonly secretOf: SecretReader;
  readonly paths: Paths;
  readonly clock: Clock;
}

const certificatePollMs = 250;

/**
 * Ready when the kubelet has its certificate: the files that name it are written then, and the token is taken away.
 * Until then those of an earlier membership are away: with mirrors whose certificate is not there, containerd pulls nothing.
 */
export function membershipWatch(options: MembershipWatchOptions): Component {
  const { worker, secretOf, paths, clock } = options;
  return oneShotComponent({
    name: membershipComponent,
    dependsOn: [],
    clock,
    run: async (signal) => {
      if (!(await hasKubeletCertificate(paths))) {
        for (const { path } of worker.memberFiles) await rm(path, { force: true });
      }
      await waitFor(() => hasKubeletCertificate(paths), {
        subject: "the kubelet's certificate",
        timeoutMs: 2 ** 31 - 1,
        intervalMs: certificatePollMs,
        signal,
      });
      await writeMemberFiles(worker, secretOf);
      await forgetToken(paths);
    },
  });
}

/** Writes what names the kubelet's certificate; only where there is one. */
export async function writeMemberFiles(
  worker: Pick<WorkerPlan, 'memberFiles'>,
  secretOf: SecretReader,
): Promise<void> {
  for (const file of worker.memberFiles) {
    await ensureFile({ ...file, content: fillSecrets(file.content, secretOf) });
  }
}
