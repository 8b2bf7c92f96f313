import {
  type CommandSpec,
  configOptions,
  configSource,
  dataDirOption,
  type Invocation,
  nodeOptions,
  type OptionSpec,
  textOption,
} from '../command.ts';
import { runOptions } from '../run-node.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

export const outputOption: OptionSpec = {
  flags: '-o, --output <format>',
  description: 'text, json or yaml (default: text)',
};

export const configOption: OptionSpec = {
  flags: '--config <file>',
  description: 'configuration (default: /etc/mini-k8s/config.yaml, if there)',
};

const scopeOptions: readonly OptionSpec[] = [
  {
    flags: '--role <role>',
    description: 'controller or worker (default: what this machine is, or controller)',
  },
  { flags: '--arch <arch>', description: "amd64 or arm64 (default: this machine's)" },
  ...configOptions,
  ...nodeOptions,
];

const listCommand: CommandSpec = {
  usage: 'list',
  description: 'show the executables that a node needs, and which are in the store',
  options: [outputOption, ...scopeOptions],
  examples: [
    'mini-k8s artifacts list',
    'mini-k8s artifacts list --role worker --arch arm64 -o json',
  ],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const { listArtifacts } = await import('../../node/artifact-store.ts');
    const rows = await listArtifacts(scopeOf(invocation));
    const { stdout } = invocation.context;
    if (format !== 'text') await printStructured(stdout, format, rows);
    else {
      const { renderExecutables } = await import('../render-artifacts.ts');
      stdout.write(renderExecutables(rows));
    }
    return 0;
  },
};

const fetchCommand: CommandSpec = {
  usage: 'fetch',
  description: 'put what a node needs into the store: from a bundle, the mirror or upstream',
  options: [...runOptions, ...scopeOptions],
  examples: [
    'mini-k8s artifacts fetch',
    'mini-k8s artifacts fetch --role worker --bundle ./bundle.tar.zst',
    'HTTPS_PROXY=http://proxy.example:3128 mini-k8s artifacts fetch',
  ],
  run: async (invocation) => {
    const { runFetch } = await import('../run-fetch.ts');
    return runFetch(invocation, scopeOf(invocation));
  },
};

const verifyCommand: CommandSpec = {
  usage: 'verify',
  description: 'read everything in the store and compare it with its sha256',
  options: [
    { flags: '--repair', description: 'remove what is damaged: the next start or fetch gets it' },
    outputOption,
    ...nodeOptions,
  ],
  examples: ['mini-k8s artifacts verify', 'mini-k8s artifacts verify --repair'],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const { verifyArtifacts } = await import('../../node/artifact-store.ts');
    const report = await verifyArtifacts(
      { ...dataDirOption(invocation), wantsRepair: invocation.options['repair'] === true },
      new AbortController().signal,
    );
    const { stdout } = invocation.context;
    if (format !== 'text') await printStructured(stdout, format, report);
    else {
      const { renderStoreReport } = await import('../render-artifacts.ts');
      stdout.write(renderStoreReport(report));
    }
    return report.problems.length === 0 || report.isRepaired ? 0 : 1;
  },
};

const pruneCommand: CommandSpec = {
  usage: 'prune',
  description: 'remove old versions and unfinished downloads from the store',
  options: nodeOptions,
  examples: ['mini-k8s artifacts prune'],
  run: async (invocation) => {
    const [{ pruneArtifacts }, { megabytes }] = await Promise.all([
      import('../../node/artifact-store.ts'),
      import('../megabytes.ts'),
    ]);
    const { removed, freedBytes } = await pruneArtifacts(dataDirOption(invocation));
    const { stdout } = invocation.context;
    for (const name of removed) stdout.write(`removed ${name}\n`);
    stdout.write(`freed ${megabytes(freedBytes)}\n`);
    return 0;
  },
};

/** The node's store of executables and images. */
export const artifactsCommand: CommandSpec = {
  usage: 'artifacts',
  description: 'list, fetch, verify and prune the executables of a node',
  commands: [listCommand, fetchCommand, verifyCommand, pruneCommand],
};

export const imagesCommand: CommandSpec = {
  usage: 'images',
  description: 'show container images',
  commands: [
    {
      usage: 'list',
      description: 'show the images that a node needs, and which are in the store',
      options: [outputOption, ...scopeOptions],
      examples: ['mini-k8s images list', 'mini-k8s images list --role worker -o json'],
      run: async (invocation) => {
        const format = structuredFormat(textOption(invocation, 'output'));
        const { listImages } = await import('../../node/artifact-store.ts');
        const rows = await listImages(scopeOf(invocation));
        const { stdout } = invocation.context;
        if (format !== 'text') await printStructured(stdout, format, rows);
        else {
          const { renderImages } = await import('../render-artifacts.ts');
          stdout.write(renderImages(rows));
        }
        return 0;
      },
    },
  ],
};

/** Which artifacts the options name. */
export function scopeOf(invocation: Invocation) {
  const role = textOption(invocation, 'role');
  const arch = textOption(invocation, 'arch');
  return {
    ...dataDirOption(invocation),
    ...configSource(invocation),
    ...(role === undefined ? {} : { role }),
    ...(arch === undefined ? {} : { arch }),
  };
}
