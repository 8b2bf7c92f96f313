import path from 'node:path';
import { waitFor } from '../../../src/base/time.ts';
import { createNode } from './create-node.ts';
import { ensureOpenrc } from './ensure-openrc.ts';
import type { NodeOptions, TestNode } from './types.ts';

const BOOT_TIMEOUT_MS = 60_000;
const BOOT_SCRIPT = '/opt/boot-openrc.sh';

/** A node whose PID 1 is OpenRC's init; like `createSystemdMachine` in everything else. */
export async function createOpenrcMachine(options: NodeOptions): Promise<TestNode> {
  const machine = await createNode({
    ...options,
    binds: [
      ...(options.binds ?? []),
      { source: await ensureOpenrc(), target: '/opt/openrc' },
      { source: path.join(import.meta.dirname, 'boot-openrc.sh'), target: BOOT_SCRIPT },
    ],
    initCommand: ['/bin/sh', BOOT_SCRIPT],
  });
  try {
    let last = '';
    await waitFor(
      async () => {
        const { stdout, stderr } = await machine.exec(['cat', '/run/openrc/softlevel']);
        last = `${stdout}${stderr}`.trim();
        return last === 'default';
      },
      {
        subject: `OpenRC of ${machine.name}`,
        timeoutMs: BOOT_TIMEOUT_MS,
        describe: () => last,
      },
    );
    return machine;
  } catch (error) {
    await machine.destroy();
    throw error;
  }
}
