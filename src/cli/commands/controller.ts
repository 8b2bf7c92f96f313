import {
  type CommandSpec,
  dataDirOption,
  type Invocation,
  nodeOptions,
  textOption,
} from '../command.ts';
import { runOptions, runUntilSignal } from '../run-node.ts';

export const controllerCommand: CommandSpec = {
  usage: 'controller',
  description: 'run the control plane and, unless --no-workloads, a node; stays in the foreground',
  options: [
    {
      flags: '--config <file>',
      description: 'configuration (default: /etc/mini-k8s/config.yaml, if there)',
    },
    ...nodeOptions,
    ...runOptions,
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
    invocation.options.dryRun === true
      ? printPlan(invocation)
      : runUntilSignal(invocation, async (options, signal) => {
          const { runController } = await import('../../node/start.ts');
          await runController({ ...options, ...prepareOptions(invocation) }, signal);
        }),
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
