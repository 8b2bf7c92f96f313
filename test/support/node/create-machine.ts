import { createNode } from './create-node.ts';
import type { NodeOptions, TestNode } from './types.ts';

export interface MachineOptions extends NodeOptions {
  /** A checkout of this project; it is copied into the machine, so that nothing there changes the original. */
  readonly repository: string;
  /** Where the checkout is in the machine. */
  readonly repositoryPath: string;
}

/**
 * A node that stands for a whole machine which someone administers: it holds a checkout of this project that can be
 * written to, for tests of what changes a machine (`./scripts/up --host`, `install`).
 */
export async function createMachine(options: MachineOptions): Promise<TestNode> {
  const { repository, repositoryPath, ...nodeOptions } = options;
  const source = '/run/repository';
  const machine = await createNode({
    ...nodeOptions,
    binds: [...(nodeOptions.binds ?? []), { source: repository, target: source }],
  });
  try {
    // An overlay on the bind: the machine's own writes go to its disk.
    const script = `
      set -eu
      mkdir -p /var/lib/repository/upper /var/lib/repository/work "$2"
      mount -t overlay -o "lowerdir=$1,upperdir=/var/lib/repository/upper,workdir=/var/lib/repository/work" overlay "$2"`;
    await machine.run(['sh', '-c', script, 'mount-repository', source, repositoryPath]);
    return machine;
  } catch (error) {
    await machine.destroy();
    throw error;
  }
}
