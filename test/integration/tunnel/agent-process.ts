// An agent as a process of its own, for tests that kill it or take its descriptors away. Its options come as JSON.
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createTunnelAgent } from '../../../src/tunnel/agent.ts';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';
import { dialLoopback } from './dial-loopback.ts';

export interface AgentProcessOptions {
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly certFile: string;
  readonly caFile: string;
  readonly podCIDR: string;
}

const options = JSON.parse(process.argv[2] ?? '{}') as AgentProcessOptions;
const connector = createTunnelConnector({ ...options, keyFile: options.certFile });
await createTunnelAgent({
  controllers: options.addresses,
  connect: connector.connect,
  allowList: () => ({
    nodeName: options.nodeName,
    kubeletPort: 10250,
    podCIDRs: [options.podCIDR],
    nodeAddresses: [],
    hostPorts: new Set(),
    podAddresses: new Set(),
  }),
  logger: silentLogger,
  clock: systemClock,
  random: () => 0.01,
  // Often enough to be heard by a controller that is not patient.
  carrier: { pingIntervalMs: 1_000 },
  dial: dialLoopback,
}).start(AbortSignal.timeout(60_000));
// The sessions keep it alive; its end is a signal.
process.stdin.resume().once('end', () => process.exit());
