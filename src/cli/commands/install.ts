import { type CommandSpec, type Invocation, textOption } from '../command.ts';
import { runUntilSignal } from '../run-node.ts';

type Installer = typeof import('../../node/install.ts');
type InstallOptions = Parameters<Installer['installNode']>[1];

/** Options of both roles' `install`, besides those of a run. */
export const installOptions = [
  {
    flags: '--no-start',
    description: 'install only; it starts with mini-k8s start, or at the next boot',
  },
  { flags: '--dry-run', description: 'print every file, and change nothing' },
] as const;

/** Runs an installation with the reporter on stdout; Ctrl-C undoes what is not finished. */
export function runInstallation(
  invocation: Invocation,
  install: (options: InstallOptions, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const { options, context } = invocation;
  return runUntilSignal(invocation, (startOptions, signal) =>
    install(
      {
        ...startOptions,
        wantsStart: options['start'] !== false,
        isDryRun: options.dryRun === true,
        executable: process.execPath,
        say: (line) => context.stdout.write(`${line}\n`),
      },
      signal,
    ),
  );
}

export const uninstallCommand: CommandSpec = {
  usage: 'uninstall',
  description: 'remove the service, the node, its data, and whatever it did on this machine',
  options: [{ flags: '--yes', description: 'really do it: the cluster and its data are lost' }],
  examples: ['mini-k8s uninstall --yes'],
  run: async ({ context, options }) => {
    if (options.yes !== true) {
      const { UserError } = await import('../../base/errors.ts');
      throw new UserError({
        what: 'uninstall this node',
        why: 'it deletes the node with all its data, and --yes is not given',
        fix: 'mini-k8s uninstall --yes',
      });
    }
    const { uninstallNode } = await import('../../node/uninstall.ts');
    const { stdout } = context;
    const count = await uninstallNode({ onRemoved: (what) => stdout.write(`removed ${what}\n`) });
    stdout.write(count === 0 ? 'Nothing to remove.\n' : `Done: ${count} things removed.\n`);
    return 0;
  },
};

export const startCommand: CommandSpec = {
  usage: 'start',
  description: 'start the installed node, and wait until it is Ready',
  run: (invocation) =>
    runUntilSignal(invocation, async ({ onEvent }, signal) => {
      const { startService } = await import('../../node/service.ts');
      await startService({ onEvent }, signal);
    }),
};

export const stopCommand: CommandSpec = {
  usage: 'stop',
  description: 'stop the installed node until the next start or boot; pods run on',
  options: [{ flags: '--with-pods', description: 'end the pods too, with their grace period' }],
  examples: ['mini-k8s stop', 'mini-k8s stop --with-pods'],
  run: async ({ options }) => {
    const { stopService } = await import('../../node/service.ts');
    await stopService({ withPods: options['withPods'] === true });
    return 0;
  },
};

export const restartCommand: CommandSpec = {
  usage: 'restart',
  description: "restart the installed node's own processes; pods run on",
  run: (invocation) =>
    runUntilSignal(invocation, async ({ onEvent }, signal) => {
      const { restartService } = await import('../../node/service.ts');
      await restartService({ onEvent }, signal);
    }),
};

export const logsCommand: CommandSpec = {
  usage: 'logs [component]',
  description: "show the installed node's log, or everything that one component said",
  options: [
    { flags: '-f, --follow', description: 'go on until Ctrl-C' },
    { flags: '--since <time>', description: 'as journalctl has it: "10 min ago", 09:30, today' },
  ],
  examples: [
    'mini-k8s logs -f',
    'mini-k8s logs kube-apiserver',
    'mini-k8s logs --since "1 hour ago"',
  ],
  run: async (invocation) => {
    const { showLogs } = await import('../../node/service.ts');
    const [component] = invocation.args;
    const since = textOption(invocation, 'since');
    return showLogs({
      follows: invocation.options['follow'] === true,
      ...(component === undefined ? {} : { component }),
      ...(since === undefined ? {} : { since }),
    });
  },
};
