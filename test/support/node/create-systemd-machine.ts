import path from 'node:path';
import { waitFor } from '../../../src/base/time.ts';
import { createNode } from './create-node.ts';
import type { NodeOptions, TestNode } from './types.ts';

const BOOT_TIMEOUT_MS = 60_000;
const BOOT_SCRIPT = '/opt/boot-systemd.sh';

/**
 * A node whose PID 1 is systemd: a machine that somebody installs a service on. With the directory of one that was
 * switched off it boots again, with everything that was on its disk.
 */
export async function createSystemdMachine(options: NodeOptions): Promise<TestNode> {
  const source = path.join(import.meta.dirname, 'boot-systemd.sh');
  const machine = await createNode({
    ...options,
    binds: [...(options.binds ?? []), { source, target: BOOT_SCRIPT }],
    initCommand: ['/bin/sh', BOOT_SCRIPT],
  });
  try {
    await waitForSystemd(machine);
    return machine;
  } catch (error) {
    await machine.destroy();
    throw error;
  }
}

/** Until the manager answers: what it starts may take as long as it likes. */
async function waitForSystemd(machine: TestNode): Promise<void> {
  let last = '';
  await waitFor(
    async () => {
      const { stdout, stderr } = await machine.exec(['systemctl', 'is-system-running']);
      last = `${stdout}${stderr}`.trim();
      return /^(starting|running|degraded)$/.test(last);
    },
    {
      subject: `systemd of ${machine.name}`,
      timeoutMs: BOOT_TIMEOUT_MS,
      describe: () => last,
    },
  );
}
