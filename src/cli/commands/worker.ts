import {
  type CommandSpec,
  dataDirOption,
  type Invocation,
  nodeOptions,
  textOption,
} from '../command.ts';
import { runOptions, runUntilSignal } from '../run-node.ts';

export const workerCommand: CommandSpec = {
  usage: 'worker',
  description: 'join a cluster and run a node; stays in the foreground',
  options: [
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
    ...nodeOptions,
    ...runOptions,
    { flags: '--dry-run', description: 'print the plan of a node that has joined; change nothing' },
    { flags: '--debug', description: "log everything, components' own lines included" },
  ],
  examples: [
    'mini-k8s worker --token-file ./token',
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
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(labels === undefined ? {} : { labels }),
    ...(taints === undefined ? {} : { taints }),
  };
}

async function printPlan(invocation: Invocation): Promise<number> {
  const [{ prepareMember }, { redactPlan }] = await Promise.all([
    import('../../node/prepare-worker.ts'),
    import('../../node/redact-plan.ts'),
  ]);
  const { plan } = await prepareMember(workerSettings(invocation));
  invocation.context.stdout.write(`${JSON.stringify(redactPlan(plan), null, 2)}\n`);
  return 0;
}

async function runWorkerCommand(invocation: Invocation): Promise<number> {
  const [{ readTokenText }, { runWorker }, { startAnew, takeMarker }] = await Promise.all([
    import('../read-token.ts'),
    import('../../node/start-worker.ts'),
    import('../start-anew.ts'),
  ]);
  const isStartedAnew = takeMarker(process.env);
  const token = await readTokenText({
    token: textOption(invocation, 'token'),
    tokenFile: textOption(invocation, 'tokenFile'),
    env: process.env,
    stdin: process.stdin,
  });
  // What other users see in ps: the token must not be there for as long as the node runs.
  process.title = 'mini-k8s worker';
  let wantsAnew = false;
  const exitCode = await runUntilSignal(invocation, (options, signal) =>
    runWorker(
      {
        ...options,
        ...workerSettings(invocation),
        env: process.env,
        ...(token === undefined ? {} : { token }),
        ...(isStartedAnew
          ? {}
          : {
              endAfterDownload: () => {
                wantsAnew = true;
              },
            }),
      },
      signal,
    ),
  );
  if (wantsAnew) startAnew();
  return exitCode;
}
