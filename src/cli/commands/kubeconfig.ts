import { type CommandSpec, dataDirOption, nodeOptions, textOption } from '../command.ts';

export const kubeconfigCommand: CommandSpec = {
  usage: 'kubeconfig',
  description: 'print a kubeconfig',
  commands: [
    {
      usage: 'admin',
      description: 'print the kubeconfig of the cluster administrator, keys included',
      options: [
        {
          flags: '--server <url>',
          description: 'address of the API in it (default: this node at its own address)',
        },
        ...nodeOptions,
      ],
      examples: [
        'mini-k8s kubeconfig admin > ~/.kube/config',
        'mini-k8s kubeconfig admin --server https://cluster.example.com:6443',
      ],
      run: async (invocation) => {
        const { renderAdminKubeconfig } = await import('../../node/admin-kubeconfig.ts');
        const server = textOption(invocation, 'server');
        const text = await renderAdminKubeconfig({
          ...dataDirOption(invocation),
          ...(server === undefined ? {} : { server }),
        });
        invocation.context.stdout.write(text);
        return 0;
      },
    },
  ],
};
