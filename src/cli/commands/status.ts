import { type CommandSpec, textOption } from '../command.ts';
import { renderStatus } from '../render-status.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

export const statusCommand: CommandSpec = {
  usage: 'status',
  description: 'show the node, its components, the addons and the certificates',
  options: [{ flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' }],
  examples: ['mini-k8s status', "mini-k8s status -o json | jq '.components[] | .name'"],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const [{ fetchStatus }, { pathsFor }] = await Promise.all([
      import('../../node/status-server.ts'),
      import('../../config/paths.ts'),
    ]);
    const status = await fetchStatus(pathsFor().statusSocket);
    const { stdout } = invocation.context;
    if (format === 'text') stdout.write(renderStatus(status, stdout, Date.now()));
    else await printStructured(stdout, format, status);
    return 0;
  },
};
