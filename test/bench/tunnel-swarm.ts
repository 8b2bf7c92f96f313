// Many tunnel agents in one process, for tunnel-sessions.ts. Their certificates come as one JSON line on stdin.
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { silentLogger } from '../../src/base/logger.ts';
import { systemClock } from '../../src/base/time.ts';
import { createTunnelAgent } from '../../src/tunnel/agent.ts';
import { gatewayServerName, tunnelProtocol } from '../../src/tunnel/connect-tunnel.ts';
import { createWindowBudget } from '../../src/tunnel/window-budget.ts';

export interface Swarm {
  readonly port: number;
  readonly ca: string;
  /** Certificate and key of each agent, by node name. */
  readonly nodes: Readonly<Record<string, string>>;
}

const budget = createWindowBudget(64 * 1024 * 1024);

createInterface({ input: process.stdin }).once('line', (line) => {
  const { port, ca, nodes } = JSON.parse(line) as Swarm;
  for (const [nodeName, pem] of Object.entries(nodes)) {
    const agent = createTunnelAgent({
      controllers: [`127.0.0.1:${port}`],
      connect: (_address, signal) => connectGateway({ port, ca, pem }, signal),
      allowList: () => ({
        ...{ nodeName, kubeletPort: 10250, nodeAddresses: [], podCIDRs: [] },
        hostPorts: new Set(),
        podAddresses: new Set(),
      }),
      ...{ logger: silentLogger, clock: systemClock, random: Math.random, budget },
    });
    void agent.start(AbortSignal.timeout(60_000));
  }
});
process.stdin.once('end', () => process.exit());

interface Identity {
  readonly port: number;
  readonly ca: string;
  readonly pem: string;
}

/** As `createTunnelConnector` does, without a file for each of ten thousand certificates. */
function connectGateway({ port, ca, pem }: Identity, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, ca, cert: pem, key: pem },
      servername: gatewayServerName,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [tunnelProtocol],
    });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    signal.addEventListener('abort', () => fail(new Error('took too long')), { once: true });
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
