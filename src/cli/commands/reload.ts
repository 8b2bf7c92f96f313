import type { CommandSpec } from '../command.ts';

export const reloadCommand: CommandSpec = {
  usage: 'reload',
  description: 'make the running node read its configuration again; restarts what changed',
  examples: ['mini-k8s reload'],
  run: async ({ context }) => {
    const [{ requestReload }, { describeReload }, { pathsFor }] = await Promise.all([
      import('../../node/request-reload.ts'),
      import('../../node/log-node-event.ts'),
      import('../../config/paths.ts'),
    ]);
    const report = await requestReload(pathsFor().statusSocket);
    context.stdout.write(`${describeReload(report)}\n`);
    return 0;
  },
};
