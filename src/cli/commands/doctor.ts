import { UserError } from '../../base/errors.ts';
import {
  type CommandSpec,
  configOptions,
  configSource,
  dataDirOption,
  type Invocation,
  nodeOptions,
  textOption,
} from '../command.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

export const doctorCommand: CommandSpec = {
  usage: 'doctor',
  description: 'find out what is wrong with this machine, or in the way to its controllers',
  options: [
    {
      flags: '--repair',
      description: 'mend what is safe to mend, and say what was done; needs root',
    },
    { flags: '--dry-run', description: 'with --repair: only say what would be done' },
    {
      flags: '--role <role>',
      description: 'what a machine that is no node yet shall become (default: controller)',
    },
    ...configOptions,
    {
      flags: '--connectivity',
      description: 'check every way from this machine to the controllers instead',
    },
    {
      flags: '--server <host[:port]>',
      description: 'with --connectivity: this controller instead of those that the machine knows',
    },
    { flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' },
    ...nodeOptions,
  ],
  details: [
    'Changes nothing unless --repair is given, and does not disturb a node that runs.',
    'Exit status: 0 when all is well or there are only warnings, 1 when something failed.',
  ],
  examples: [
    'mini-k8s doctor',
    'mini-k8s doctor --role worker -o json',
    'mini-k8s doctor --repair --dry-run',
    'mini-k8s doctor --repair',
    'mini-k8s doctor --connectivity',
    'mini-k8s doctor --connectivity --server controller.example',
  ],
  run: async (invocation) => {
    requireConsistent(invocation);
    const abort = new AbortController();
    const interrupt = (signal: NodeJS.Signals) => abort.abort(signal);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
    try {
      return invocation.options['connectivity'] === true
        ? await examineConnectivity(invocation, abort.signal)
        : await examineThisMachine(invocation, abort.signal);
    } catch (error) {
      // Ended on purpose, and everything that was tried is cleared away.
      if (abort.signal.aborted) return exitCodeOf(abort.signal);
      throw error;
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
    }
  },
};

function exitCodeOf({ reason }: AbortSignal): number {
  return 128 + (reason === 'SIGINT' ? 2 : 15);
}

async function examineThisMachine(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const { stdout } = invocation.context;
  const format = structuredFormat(textOption(invocation, 'output'));
  const role = textOption(invocation, 'role') ?? 'controller';
  const [{ examineMachine }, { systemClock }, { renderMachine }] = await Promise.all([
    import('../../node/examine-machine.ts'),
    import('../../base/time.ts'),
    import('../render-machine.ts'),
  ]);
  const wantsProgress = format === 'text' && stdout.isTTY === true;
  const clearLine = '\r\u001b[2K';
  const report = await examineMachine(
    {
      ...dataDirOption(invocation),
      ...configSource(invocation),
      wantsWorker: role === 'worker',
      wantsRepair: invocation.options['repair'] === true,
      isDryRun: invocation.options['dryRun'] === true,
      clock: systemClock,
      onProbe: (name) => {
        if (wantsProgress) stdout.write(`${clearLine}looking at: ${name}`);
      },
    },
    signal,
  );
  if (wantsProgress) stdout.write(clearLine);
  if (format === 'text') stdout.write(renderMachine(report, stdout));
  else await printStructured(stdout, format, report);
  return report.isHealthy ? 0 : 1;
}

async function examineConnectivity(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const format = structuredFormat(textOption(invocation, 'output'));
  const [{ checkConnectivity }, { renderDoctor }] = await Promise.all([
    import('../../node/doctor.ts'),
    import('../render-doctor.ts'),
  ]);
  const { stdout } = invocation.context;
  const server = textOption(invocation, 'server');
  const report = await checkConnectivity(
    {
      ...dataDirOption(invocation),
      ...configSource(invocation),
      ...(server === undefined ? {} : { server }),
    },
    signal,
  );
  if (format === 'text') stdout.write(renderDoctor(report, stdout));
  else await printStructured(stdout, format, report);
  return report.isHealthy ? 0 : 1;
}

/** @throws UserError for options that say nothing together. */
function requireConsistent({ options }: Invocation): void {
  const fail = (what: string, why: string, fix: string) => {
    throw new UserError({ what, why, fix });
  };
  const { connectivity, server, repair, dryRun, role: word } = options;
  if (server !== undefined && connectivity !== true) {
    fail('use --server', 'it names whom to reach', 'mini-k8s doctor --connectivity --server HOST');
  }
  if (repair === true && connectivity === true) {
    fail(
      'repair the way to the controllers',
      'what is in it is not on this machine',
      'leave --repair out',
    );
  }
  if (dryRun === true && repair !== true) {
    fail(
      'use --dry-run',
      'without --repair nothing is changed anyway',
      'mini-k8s doctor --repair --dry-run',
    );
  }
  if (word !== undefined && word !== 'controller' && word !== 'worker') {
    fail(
      `use --role ${String(word)}`,
      'there is no such role here',
      'give --role controller or worker',
    );
  }
}
