// The node's end of our tunnel, with the allow-list of a node whose kubelet is the target. Its options come as JSON.
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createTunnelAgent } from '../../../src/tunnel/agent.ts';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';

export interface OurAgentOptions {
  readonly controller: string;
  readonly caFile: string;
  /** Certificate and key. */
  readonly certFile: string;
  readonly nodeName: string;
  readonly kubeletPort: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as OurAgentOptions;
const { nodeName, kubeletPort, certFile, caFile } = options;
const connector = createTunnelConnector({ certFile, keyFile: certFile, caFile });
const agent = createTunnelAgent({
  controllers: [options.controller],
  connect: connector.connect,
  credentialsFingerprint: connector.credentialsFingerprint,
  allowList: () => ({
    ...{ nodeName, kubeletPort },
    podCIDRs: ['10.244.1.0/24'],
    podAddresses: new Set(),
    nodeAddresses: ['192.168.1.7'],
    hostPorts: new Set(),
  }),
  logger: silentLogger,
  clock: systemClock,
  random: Math.random,
});
void agent.start(AbortSignal.timeout(60_000));
// Not the default end: a CPU profile is written at `exit`.
process.once('SIGTERM', () => process.exit());
