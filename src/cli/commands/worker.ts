import {
  type CommandSpec,
  configOptions,
  configSource,
  dataDirOption,
  type Invocation,
  nodeOptions,
  textOption,
} from '../command.ts';
import { runNodeUntilSignal, runOptions } from '../run-node.ts';
import { version } from '../version.ts';
import { installOptions, runInstallation } from './install.ts';

const workerOptions = [
  {
    flags: '--token <token>',
    description: 'of mini-k8s token create; - reads it from stdin (or set MINI_K8S_TOKEN)',
  },
  { flags: '--token-file <file>', description: 'read the token from this file' },
  { flags: '--node-name <name>', description: 'default: the host name in lower case' },
  {
    flags: '--labels <key=value,...>',
    description: 'labels of the node when it registers for the first time',
  },
  {
    flags: '--taints <key=value:effect,...>',
    description: 'taints of the node when it registers for the first time',
  },
  ...configOptions,
  ...nodeOptions,
  ...runOptions,
  { flags: '--debug', description: "log everything, components' own lines included" },
];

const installCommand: CommandSpec = {
  usage: 'install',
  description: 'join a cluster, install the worker as a service, and start it',
  options: [...workerOptions, ...installOptions],
  examples: [
    'mini-k8s worker install --token-file ./token',
    'ssh controller mini-k8s token create | mini-k8s worker install --token -',
  ],
  run: async (invocation) => {
    const token = await takeToken(invocation);
    return runInstallation(invocation, async (options, signal) => {
      const { installWorker } = await import('../../node/install-worker.ts');
      await installWorker({ ...options, ...workerSettings(invocation), ...token }, signal);
    });
  },
};

export const workerCommand: CommandSpec = {
  usage: 'worker',
  description: 'join a cluster and run a node; stays in the foreground',
  options: [
    ...workerOptions,
    {
      flags: '--dry-run',
      description: 'print what would be done; change nothing, here and in the cluster',
    },
  ],
  commands: [installCommand],
  examples: [
    'mini-k8s worker --token-file ./token',
    'mini-k8s worker --token-file ./token --labels example.com/rack=r1 --taints dedicated=edge:NoSchedule',
    'mini-k8s worker --token-file ./token --dry-run',
    'ssh controller mini-k8s token create | mini-k8s worker --token -',
    'mini-k8s worker          # every later start: the token is not needed any more',
  ],
  run: (invocation) =>
    invocation.options.dryRun === true ? printPlan(invocation) : runWorkerCommand(invocation),
};

function workerSettings(invocation: Invocation) {
  const nodeName = textOption(invocation, 'nodeName');
  const labels = textOption(invocation, 'labels');
  const taints = textOption(invocation, 'taints');
  return {
    ...dataDirOption(invocation),
    ...configSource(invocation),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(labels === undefined ? {} : { labels }),
    ...(taints === undefined ? {} : { taints }),
  };
}

async function printPlan(invocation: Invocation): Promise<number> {
  const [{ previewWorker }, { redactPlan }, { systemClock }] = await Promise.all([
    import('../../node/prepare-worker.ts'),
    import('../../node/redact-plan.ts'),
    import('../../base/time.ts'),
  ]);
  const token = await takeToken(invocation);
  const { plan } = await previewWorker(
    { ...workerSettings(invocation), ...token, version, clock: systemClock },
    new AbortController().signal,
  );
  invocation.context.stdout.write(`${JSON.stringify(redactPlan(plan), null, 2)}\n`);
  return 0;
}

async function runWorkerCommand(invocation: Invocation): Promise<number> {
  const [{ runWorker }, { startAnew, takeMarker }] = await Promise.all([
    import('../../node/start-worker.ts'),
    import('../start-anew.ts'),
  ]);
  const isStartedAnew = takeMarker(process.env);
  const token = await takeToken(invocation);
  let wantsAnew = false;
  const endAfterDownload = () => {
    wantsAnew = true;
  };
  const exitCode = await runNodeUntilSignal(invocation, (options, signal) =>
    runWorker(
      {
        ...options,
        ...workerSettings(invocation),
        ...token,
        ...(isStartedAnew ? {} : { endAfterDownload }),
      },
      signal,
    ),
  );
  if (wantsAnew) startAnew();
  return exitCode;
}

async function takeToken(invocation: Invocation): Promise<{ readonly token?: string }> {
  // What other users see in ps: the token must not be there for longer than it takes to read it.
  process.title = 'mini-k8s worker';
  const [{ readTokenText }, { hasJoined }] = await Promise.all([
    import('../read-token.ts'),
    import('../../node/membership.ts'),
  ]);
  const token = await readTokenText({
    token: textOption(invocation, 'token'),
    tokenFile: textOption(invocation, 'tokenFile'),
    env: process.env,
    stdin: process.stdin,
    isNeeded: async () => !(await hasJoined(dataDirOption(invocation))),
  });
  // What this process starts inherits it otherwise.
  delete process.env['MINI_K8S_TOKEN'];
  return token === undefined ? {} : { token };
}
