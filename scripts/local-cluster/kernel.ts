import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { execa } from 'execa';
import { throwCollected, UserError } from '../../src/base/errors.ts';

/** What a node needs from the kernel: how to see it, and the module that brings it. */
const NEEDS: readonly {
  readonly module: string;
  readonly purpose: string;
  readonly isThere: () => Promise<boolean>;
}[] = [
  {
    module: 'loop',
    purpose: "the node's disk",
    isThere: async () => existsSync('/dev/loop-control'),
  },
  {
    module: 'overlay',
    purpose: 'containers',
    isThere: async () => /\toverlay$/m.test(await readFile('/proc/filesystems', 'utf8')),
  },
  {
    module: 'ext4',
    purpose: "the node's disk",
    isThere: async () => /\text4$/m.test(await readFile('/proc/filesystems', 'utf8')),
  },
];

/**
 * Loads the modules that are missing.
 * @throws UserError(s) for what this kernel does not have.
 */
export async function requireKernel(): Promise<void> {
  const problems: UserError[] = [];
  for (const { module, purpose, isThere } of NEEDS) {
    if (await isThere()) continue;
    await execa('modprobe', [module], { reject: false });
    if (await isThere()) continue;
    problems.push(
      new UserError({
        what: 'make a node on this machine',
        why: `its kernel has no ${module}, needed for ${purpose}`,
        fix: `use a kernel with ${module} (a container often has none of its host's), or try --host`,
      }),
    );
  }
  throwCollected(problems);
}
