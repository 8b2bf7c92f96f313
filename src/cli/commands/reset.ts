import { UserError } from '../../base/errors.ts';
import { type CommandSpec, dataDirOption, nodeOptions } from '../command.ts';

export const resetCommand: CommandSpec = {
  usage: 'reset',
  description:
    'remove everything that mini-k8s did on this machine: processes, mounts, rules, files',
  options: [
    { flags: '--yes', description: 'really do it: the cluster and its data are lost' },
    ...nodeOptions,
  ],
  examples: ['mini-k8s reset --yes'],
  run: async (invocation) => {
    if (invocation.options.yes !== true) {
      throw new UserError({
        what: 'reset this node',
        why: 'it deletes the cluster with all its data, and --yes is not given',
        fix: 'mini-k8s reset --yes',
      });
    }
    const { resetNode } = await import('../../node/reset.ts');
    const { stdout } = invocation.context;
    const count = await resetNode({
      ...dataDirOption(invocation),
      onRemoved: (what) => stdout.write(`removed ${what}\n`),
    });
    stdout.write(count === 0 ? 'Nothing to remove.\n' : `Done: ${count} things removed.\n`);
    return 0;
  },
};
