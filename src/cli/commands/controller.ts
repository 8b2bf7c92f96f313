import {
  type CommandSpec,
  dataDirOption,
  type Invocation,
  nodeOptions,
  textOption,
} from '../command.ts';
import { createReporter } from '../reporter.ts';
import { version } from '../version.ts';

export const controllerCommand: CommandSpec = {
  usage: 'controller',
  description: 'run the control plane and, unless --no-workloads, a node; stays in the foreground',
  options: [
    {
      flags: '--config <file>',
      description: 'configuration (default: /etc/mini-k8s/config.yaml, if there)',
    },
    ...nodeOptions,
    {
      flags: '--bundle <path>',
      description: 'take components and images from this directory, .tar or .tar.zst',
    },
    {
      flags: '--trust-bundle <sha256>',
      description: "accept a bundle that is not upstream's own, by the sha256 of its index.json",
    },
    { flags: '--no-workloads', description: 'no kubelet and no containers here' },
    { flags: '--dry-run', description: 'print the plan and change nothing' },
    { flags: '--debug', description: "log everything, components' own lines included" },
  ],
  examples: [
    'mini-k8s controller --bundle ./bundle.tar.zst',
    'mini-k8s controller --config ./config.yaml --dry-run',
    'mini-k8s controller --no-workloads',
  ],
  run: (invocation) =>
    invocation.options.dryRun === true ? printPlan(invocation) : runUntilSignal(invocation),
};

function prepareOptions(invocation: Invocation) {
  const configFile = textOption(invocation, 'config');
  return {
    runsWorkloads: invocation.options.workloads !== false,
    ...(configFile === undefined ? {} : { configFile }),
    ...dataDirOption(invocation),
  };
}

async function printPlan(invocation: Invocation): Promise<number> {
  const [{ prepareController }, { redactPlan }] = await Promise.all([
    import('../../node/prepare.ts'),
    import('../../node/redact-plan.ts'),
  ]);
  const { plan } = await prepareController(prepareOptions(invocation));
  invocation.context.stdout.write(`${JSON.stringify(redactPlan(plan), null, 2)}\n`);
  return 0;
}

async function runUntilSignal(invocation: Invocation): Promise<number> {
  const { context, options } = invocation;
  const [{ runController }, { createLogger }, { systemClock }] = await Promise.all([
    import('../../node/start.ts'),
    import('../../base/logger.ts'),
    import('../../base/time.ts'),
  ]);
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => abort.abort(signal));
  }
  const isDebug = options.debug === true;
  const bundle = textOption(invocation, 'bundle');
  const trustBundle = textOption(invocation, 'trustBundle');
  const reporter = createReporter(context.stdout);
  try {
    await runController(
      {
        ...prepareOptions(invocation),
        ...(bundle === undefined ? {} : { bundle }),
        ...(trustBundle === undefined ? {} : { trustBundle }),
        isDebug,
        version,
        clock: systemClock,
        // On a terminal the reporter says what matters; the log would run over it.
        logger: createLogger({
          level: isDebug ? 'debug' : context.stderr.isTTY === true ? 'silent' : 'info',
          format: 'text',
          write: (line) => context.stderr.write(line),
        }),
        onEvent: reporter.report,
      },
      abort.signal,
    );
  } finally {
    reporter.close();
  }
  return 0;
}
