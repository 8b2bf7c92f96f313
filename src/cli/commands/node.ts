import { type CommandSpec, dataDirOption, nodeOptions, textOption } from '../command.ts';

const defaultTimeout = '2m';

export const nodeCommand: CommandSpec = {
  usage: 'node',
  description: 'take workers out of the cluster',
  examples: ['mini-k8s node remove edge-7'],
  commands: [
    {
      usage: 'remove <name>',
      description: 'evict the pods of a worker, delete its node, and refuse its certificate',
      options: [
        {
          flags: '--force',
          description: 'do not wait for pods of a dead node, nor for those that do not end in time',
        },
        {
          flags: '--timeout <duration>',
          description: `how long evicting its pods may take (default: ${defaultTimeout})`,
        },
        ...nodeOptions,
      ],
      examples: ['mini-k8s node remove edge-7', 'mini-k8s node remove edge-7 --force'],
      run: async (invocation) => {
        const { openCluster, parseDrainTimeout, removeNode } = await import(
          '../../node/remove-node.ts'
        );
        const [nodeName = ''] = invocation.args;
        const timeoutMs = parseDrainTimeout(textOption(invocation, 'timeout') ?? defaultTimeout);
        const cluster = await openCluster(dataDirOption(invocation).dataDir);
        try {
          await removeNode(
            {
              nodeName: nodeName.toLowerCase(),
              isForced: invocation.options.force === true,
              timeoutMs,
              onStep: (text) => invocation.context.stdout.write(`${text}\n`),
            },
            cluster,
          );
        } finally {
          cluster.client.close();
        }
        return 0;
      },
    },
  ],
};
