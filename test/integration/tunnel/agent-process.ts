// An agent as a process of its own, for tests that kill it or take its descriptors away. Its options come as JSON.
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createTunnelAgent, type TunnelAgentOptions } from '../../../src/tunnel/agent.ts';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';
import { dialLoopback } from './dial-loopback.ts';

export interface AgentProcessOptions {
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly certFile: string;
  readonly caFile: string;
  readonly podCIDR: string;
  readonly carrier?: NonNullable<TunnelAgentOptions['carrier']>;
  readonly credentialsPollMs?: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as AgentProcessOptions;
const connector = createTunnelConnector({ ...options, keyFile: options.certFile });
const { credentialsPollMs } = options;
await createTunnelAgent({
  controllers: options.addresses,
  ...connector,
  ...(credentialsPollMs === undefined ? {} : { credentialsPollMs }),
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
  carrier: options.carrier ?? { pingIntervalMs: 1_000 },
  dial: dialLoopback,
}).start(AbortSignal.timeout(60_000));
// For samples of its memory; a test has no other questions.
process.on('message', () => {
  globalThis.gc?.();
  process.send?.({ heapBytes: process.memoryUsage().heapUsed });
});
// The sessions keep it alive; its end is a signal.
process.once('disconnect', () => process.exit());
