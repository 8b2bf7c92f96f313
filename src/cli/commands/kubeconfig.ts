import {
  type CommandSpec,
  dataDirOption,
  type Invocation,
  listOption,
  nodeOptions,
  textOption,
} from '../command.ts';

const sharedOptions = [
  {
    flags: '--server <url>',
    description: 'address of the API in it (default: this node at its own address)',
  },
  { flags: '--name <name>', description: 'what the cluster is called in it (default: mini-k8s)' },
  ...nodeOptions,
];

const adminCommand: CommandSpec = {
  usage: 'admin',
  description: 'print the kubeconfig of the cluster administrator, keys included',
  options: [
    {
      flags: '--merge [file]',
      description:
        'put it into a kubeconfig and keep what is there (default: KUBECONFIG, or ~/.kube/config)',
    },
    ...sharedOptions,
  ],
  examples: [
    'sudo mini-k8s kubeconfig admin --merge ~/.kube/config',
    'mini-k8s kubeconfig admin --name greenhouse > greenhouse.kubeconfig',
    'mini-k8s kubeconfig admin --server https://cluster.example.com:6443',
  ],
  run: async (invocation) => {
    const { readAdminEntry } = await import('../../node/admin-kubeconfig.ts');
    const entry = await readAdminEntry(accessOptions(invocation));
    const { env, stdout } = invocation.context;
    const merge = invocation.options['merge'];
    if (merge === undefined) {
      const { renderKubeconfig } = await import('../../pki/kubeconfig.ts');
      stdout.write(renderKubeconfig(entry));
      return 0;
    }
    const { mergeIntoFile } = await import('../../node/kubeconfig-file.ts');
    const given = typeof merge === 'string' ? { file: merge } : {};
    const { file, isChanged, currentContext } = await mergeIntoFile(entry, { env, ...given });
    const { contextName } = entry;
    stdout.write(`${file} ${isChanged ? 'has' : 'already had'} the context ${contextName}\n`);
    if (currentContext !== contextName) {
      stdout.write(
        `kubectl goes on using ${currentContext}: kubectl config use-context ${contextName}\n`,
      );
    }
    return 0;
  },
};

const createCommand: CommandSpec = {
  usage: 'create <user>',
  description: 'make a kubeconfig for a user: a key and a certificate that ends by itself',
  options: [
    {
      flags: '--group <group...>',
      description: 'groups of the user, to which RBAC rules may be bound',
    },
    { flags: '--ttl <duration>', description: '10m to 365d (default: 24h)' },
    { flags: '--output <file>', description: 'write it there, mode 0600 (default: print it)' },
    { flags: '--force', description: 'replace the file if it is there' },
    {
      flags: '--allow-reserved',
      description: 'let names of Kubernetes itself through, system:masters among them',
    },
    ...sharedOptions,
  ],
  examples: [
    'mini-k8s kubeconfig create alice --group developers --output alice.kubeconfig',
    'mini-k8s kubeconfig create backup-job --ttl 30d > backup.kubeconfig',
    'mini-k8s kubectl create clusterrolebinding developers --clusterrole=edit --group=developers',
  ],
  run: async (invocation) => {
    const [{ createUserKubeconfig }, { systemClock }] = await Promise.all([
      import('../../node/user-kubeconfig.ts'),
      import('../../base/time.ts'),
    ]);
    const [user = ''] = invocation.args;
    const ttl = textOption(invocation, 'ttl');
    const groups = listOption(invocation, 'group');
    const { text, notAfter } = await createUserKubeconfig({
      ...accessOptions(invocation),
      ...{ user, groups, clock: systemClock },
      ...(ttl === undefined ? {} : { ttl }),
      allowsReservedNames: invocation.options['allowReserved'] === true,
    });
    const { stdout, stderr } = invocation.context;
    const file = textOption(invocation, 'output');
    if (file === undefined) stdout.write(text);
    else {
      const { writeKubeconfigFile } = await import('../../node/kubeconfig-file.ts');
      await writeKubeconfigFile(file, text, { mayReplace: invocation.options['force'] === true });
    }
    const place = file === undefined ? 'It' : file;
    const whose = groups.length === 0 ? user : `${user} of ${groups.join(', ')}`;
    // Not on stdout: that may be the file.
    stderr.write(`${place} is for ${whose} until ${notAfter}, and cannot be taken back before.\n`);
    return 0;
  },
};

/** Kubeconfigs of this controller's cluster. */
export const kubeconfigCommand: CommandSpec = {
  usage: 'kubeconfig',
  description: 'make kubeconfigs, for the administrator and for users',
  commands: [adminCommand, createCommand],
};

function accessOptions(invocation: Invocation) {
  const server = textOption(invocation, 'server');
  const clusterName = textOption(invocation, 'name');
  return {
    ...dataDirOption(invocation),
    ...(server === undefined ? {} : { server }),
    ...(clusterName === undefined ? {} : { clusterName }),
  };
}
