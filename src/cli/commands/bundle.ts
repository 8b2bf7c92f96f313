import {
  type CommandSpec,
  type Invocation,
  listOption,
  nodeOptions,
  textOption,
} from '../command.ts';
import { bundleOptions, runOptions } from '../run-node.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';
import { configOption, outputOption, scopeOf } from './artifacts.ts';

const createCommand: CommandSpec = {
  usage: 'create',
  description: 'make a bundle for machines without a network, from the store and the sources',
  options: [
    {
      flags: '--out <path>',
      description: 'where it goes: NAME.tar.zst, NAME.tar, or a new directory',
    },
    { flags: '--role <role>', description: 'controller (it can be a worker too) or worker' },
    {
      flags: '--arch <arch,...>',
      description: "amd64, arm64 or both (default: this machine's)",
    },
    {
      flags: '--image <reference...>',
      description: 'an image that rides along; may be given several times',
    },
    {
      flags: '--manifests <path...>',
      description: 'a directory or file with objects that rides along, as a stack of its name',
    },
    {
      flags: '--auth-file <file>',
      description: 'credentials of registries, as docker login and podman login write them',
    },
    {
      flags: '--plain-http <host:port...>',
      description: 'registries that speak no TLS',
    },
    {
      flags: '--compression <level>',
      description: '1 to 19, for .tar.zst: smaller and slower (default: 3)',
    },
    configOption,
    ...nodeOptions,
    ...runOptions,
  ],
  examples: [
    'mini-k8s bundle create --out ./bundle.tar.zst',
    'mini-k8s bundle create --role worker --arch arm64 --out ./worker-arm64.tar.zst',
    'mini-k8s bundle create --out ./shop.tar.zst --image registry.example/shop:1.2 --manifests ./shop',
  ],
  run: createBundleCommand,
};

const inspectCommand: CommandSpec = {
  usage: 'inspect <bundle>',
  description: 'show what is in a bundle, its sha256 and who signed it',
  options: [outputOption],
  examples: [
    'mini-k8s bundle inspect ./bundle.tar.zst',
    'mini-k8s bundle inspect ./bundle -o json',
  ],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const { inspectBundle } = await import('../../node/bundle-report.ts');
    const report = await inspectBundle(firstArgument(invocation), new AbortController().signal);
    const { stdout } = invocation.context;
    if (format !== 'text') await printStructured(stdout, format, report);
    else {
      const { renderBundle } = await import('../render-bundle.ts');
      stdout.write(renderBundle(report));
    }
    return 0;
  },
};

const verifyCommand: CommandSpec = {
  usage: 'verify <bundle>',
  description: 'read everything in a bundle and compare it with its sha256 and signature',
  options: [
    {
      flags: '--require-signature <key>',
      description: 'of the key that shall have signed it: ed25519:…, or a file with it',
    },
  ],
  examples: [
    'mini-k8s bundle verify ./bundle.tar.zst',
    'mini-k8s bundle verify ./bundle.tar.zst --require-signature ./team.pub',
  ],
  run: async (invocation) => {
    const [{ verifyGivenBundle }, { runInterruptible }, { renderVerification }] = await Promise.all(
      [
        import('../../node/bundle-report.ts'),
        import('../run-interruptible.ts'),
        import('../render-bundle.ts'),
      ],
    );
    let isSound = false;
    const exitCode = await runInterruptible(invocation, 'nothing was changed', async (parts) => {
      const options = { ...bundleOptions(invocation), ...parts };
      const report = await verifyGivenBundle(firstArgument(invocation), options, parts.signal);
      isSound = report.problems.length === 0;
      invocation.context.stdout.write(renderVerification(report));
    });
    return exitCode === 0 && !isSound ? 1 : exitCode;
  },
};

const keyCommand: CommandSpec = {
  usage: 'key',
  description: 'make a key to sign bundles with; prints the public half, for --require-signature',
  options: [{ flags: '--out <file>', description: 'where the private half goes: a new file' }],
  examples: ['mini-k8s bundle key --out ./team.key > ./team.pub'],
  run: async (invocation) => {
    const { createSigningKey } = await import('../../node/bundle-report.ts');
    const key = await createSigningKey(await requireOption(invocation, 'out', 'team.key'));
    invocation.context.stdout.write(`${key}\n`);
    return 0;
  },
};

const signCommand: CommandSpec = {
  usage: 'sign <bundle>',
  description: 'sign a bundle, so that nodes take it with --require-signature',
  options: [
    { flags: '--key <file>', description: 'an ed25519 private key in PEM, as of bundle key' },
  ],
  examples: ['mini-k8s bundle sign ./bundle.tar.zst --key ./team.key'],
  run: async (invocation) => {
    const { signGivenBundle } = await import('../../node/bundle-report.ts');
    const keyFile = await requireOption(invocation, 'key', 'team.key');
    const signal = new AbortController().signal;
    const { key } = await signGivenBundle(firstArgument(invocation), keyFile, signal);
    invocation.context.stdout.write(`signed; use it with --require-signature ${key}\n`);
    return 0;
  },
};

/** Bundles: what a machine without a network needs, in one file. */
export const bundleCommand: CommandSpec = {
  usage: 'bundle',
  description: 'make, show, verify and sign bundles for machines without a network',
  commands: [createCommand, inspectCommand, verifyCommand, signCommand, keyCommand],
};

/** Commander has seen to it that it is there. */
function firstArgument({ args }: Invocation): string {
  return args[0] ?? '';
}

async function createBundleCommand(invocation: Invocation): Promise<number> {
  const [{ createBundle }, { runInterruptible }, { renderCreated }] = await Promise.all([
    import('../../node/create-bundle.ts'),
    import('../run-interruptible.ts'),
    import('../render-bundle.ts'),
  ]);
  const out = await requireOption(invocation, 'out', 'bundle.tar.zst');
  const zstdLevel = await readLevel(textOption(invocation, 'compression'));
  const { arch, ...scope } = scopeOf(invocation);
  const authFile = textOption(invocation, 'authFile');
  const { stdout } = invocation.context;
  const whenStopped = 'the next create of this bundle goes on from here';
  return runInterruptible(invocation, whenStopped, async ({ signal, ...parts }) => {
    const options = {
      ...{ ...scope, ...bundleOptions(invocation), ...parts, out, zstdLevel },
      ...(authFile === undefined ? {} : { authFile }),
      plainHttp: listOption(invocation, 'plainHttp'),
      architectures: arch === undefined ? [] : [...new Set(arch.split(','))],
      images: listOption(invocation, 'image'),
      manifests: listOption(invocation, 'manifests'),
    };
    const created = await createBundle(options, signal);
    stdout.write(renderCreated(created));
  });
}

async function requireOption(
  invocation: Invocation,
  name: string,
  example: string,
): Promise<string> {
  const value = textOption(invocation, name);
  if (value !== undefined && value !== '') return value;
  const { UserError } = await import('../../base/errors.ts');
  throw new UserError({
    what: 'run this command',
    why: `--${name} is not given`,
    fix: `add --${name} ${example}`,
  });
}

/** Above 19 a node would need too much memory to read it. */
async function readLevel(text: string | undefined): Promise<number> {
  const level = Number(text ?? 3);
  if (Number.isInteger(level) && level >= 1 && level <= 19) return level;
  const { UserError } = await import('../../base/errors.ts');
  throw new UserError({
    what: `compress a bundle by level ${text}`,
    why: 'the levels are 1 to 19',
    fix: 'leave --compression out, or give 19 for the smallest bundle',
  });
}
