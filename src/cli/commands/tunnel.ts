import { type CommandSpec, textOption } from '../command.ts';
import { renderTunnelReport } from '../render-tunnel-report.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

export const tunnelCommand: CommandSpec = {
  usage: 'tunnel',
  description: 'look at the connections between control plane and workers',
  commands: [
    {
      usage: 'status',
      description:
        'show each tunnel: on a controller one row per node, on a worker one per controller',
      options: [
        { flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' },
      ],
      examples: [
        'mini-k8s tunnel status',
        "mini-k8s tunnel status -o json | jq -r '.tunnels[] | select(.isConnected | not) | .peer'",
        'curl --unix-socket /run/mini-k8s/status.sock http://localhost/metrics   # for Prometheus',
      ],
      run: async (invocation) => {
        const format = structuredFormat(textOption(invocation, 'output'));
        const [{ fetchStatus }, { tunnelReport }, { pathsFor }] = await Promise.all([
          import('../../node/status-server.ts'),
          import('../../node/tunnel-report.ts'),
          import('../../config/paths.ts'),
        ]);
        const report = tunnelReport(await fetchStatus(pathsFor().statusSocket));
        const { stdout } = invocation.context;
        if (format === 'text') stdout.write(renderTunnelReport(report, stdout, Date.now()));
        else await printStructured(stdout, format, report);
        return 0;
      },
    },
  ],
};
