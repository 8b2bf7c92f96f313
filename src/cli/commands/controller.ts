import {
  type CommandSpec,
  configOptions,
  configSource,
  dataDirOption,
  type Invocation,
  nodeOptions,
} from '../command.ts';
import { runNodeUntilSignal, runOptions } from '../run-node.ts';
import { installOptions, runInstallation } from './install.ts';

const debugOption = {
  flags: '--debug',
  description: "log everything, components' own lines included",
};

const controllerOptions = [
  ...configOptions,
  ...nodeOptions,
  ...runOptions,
  { flags: '--no-workloads', description: 'no kubelet and no containers here' },
  debugOption,
];

const installCommand: CommandSpec = {
  usage: 'install',
  description: 'install the controller as a service that comes back after every boot, and start it',
  options: [...controllerOptions, ...installOptions],
  examples: [
    'mini-k8s controller install',
    'mini-k8s controller install --bundle /media/usb/bundle.tar.zst',
    'mini-k8s controller install --no-workloads --dry-run',
  ],
  run: (invocation) =>
    runInstallation(invocation, async (options, signal) => {
      const { installController } = await import('../../node/install-controller.ts');
      await installController({ ...options, ...prepareOptions(invocation) }, signal);
    }),
};

export const controllerCommand: CommandSpec = {
  usage: 'controller',
  description: 'run the control plane and, unless --no-workloads, a node; stays in the foreground',
  options: [
    ...controllerOptions,
    { flags: '--dry-run', description: 'print the plan and change nothing' },
  ],
  commands: [installCommand],
  examples: [
    'mini-k8s controller --bundle ./bundle.tar.zst',
    'mini-k8s controller --config ./config.yaml --set api.port=8443 --dry-run',
    'mini-k8s controller --no-workloads',
  ],
  run: (invocation) =>
    invocation.options.dryRun === true
      ? printPlan(invocation)
      : runNodeUntilSignal(invocation, async (options, signal) => {
          const { runController } = await import('../../node/start.ts');
          await runController({ ...options, ...prepareOptions(invocation) }, signal);
        }),
};

function prepareOptions(invocation: Invocation) {
  return {
    runsWorkloads: invocation.options.workloads !== false,
    ...configSource(invocation),
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
