// Many tunnel agents in one process. What it is to do comes as one JSON line on stdin; it lives until that ends.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { connect, createSecureContext, type SecureContext } from 'node:tls';
import { gatewayServerName, tunnelProtocol } from '../../../src/base/gateway-names.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { sleep, systemClock } from '../../../src/base/time.ts';
import { createTunnelAgent, type TunnelAgent } from '../../../src/tunnel/agent.ts';
import { createWindowBudget } from '../../../src/tunnel/window-budget.ts';
import { dialLoopback } from '../../integration/tunnel/dial-loopback.ts';

export interface Swarm {
  readonly port: number;
  readonly ca: string;
  /** So many agents come from one address, as behind one NAT. */
  readonly agentsPerAddress: number;
  /** What each agent serves as its kubelet's port; all of them lead to one that echoes. */
  readonly kubeletPort: number;
  /** Certificate and key of each agent, by node name. */
  readonly nodes: Readonly<Record<string, string>>;
  /** Of each agent to its target; the agent's own unless given, milliseconds. */
  readonly dialMs?: number;
}

const maxConnecting = 200;

const budget = createWindowBudget(64 * 1024 * 1024);

createInterface({ input: process.stdin }).once('line', (line) => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}).pipe(socket);
  });
  echo.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    const address = echo.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    void startAgents(JSON.parse(line) as Swarm, address.port);
  });
});
process.stdin.once('end', () => process.exit());

/** The first time they come a few at a time: how they come back is what is measured. */
async function startAgents(swarm: Swarm, echoPort: number): Promise<void> {
  const { port, ca, agentsPerAddress, kubeletPort, nodes, dialMs } = swarm;
  const connecting = new Set<TunnelAgent>();
  for (const [index, [nodeName, pem]] of Object.entries(nodes).entries()) {
    const site = Math.floor(index / agentsPerAddress);
    const localAddress = `127.1.${Math.floor(site / 250)}.${(site % 250) + 1}`;
    // Made once: ten thousand agents have one processor here, and would spend it on reading their own keys.
    const secureContext = createSecureContext({ ca, cert: pem, key: pem, minVersion: 'TLSv1.3' });
    const agent = createTunnelAgent({
      controllers: [`127.0.0.1:${port}`],
      connect: (_address, signal) => connectGateway({ port, secureContext, localAddress }, signal),
      dial: (address) => dialLoopback(address, echoPort),
      allowList: () => ({
        ...{ nodeName, kubeletPort, nodeAddresses: [], podCIDRs: [] },
        hostPorts: new Set(),
        podAddresses: new Set(),
      }),
      ...{ logger: silentLogger, clock: systemClock, random: Math.random, budget },
      ...(dialMs === undefined ? {} : { dialMs }),
    });
    void agent.start(AbortSignal.timeout(60_000));
    connecting.add(agent);
    while (connecting.size >= maxConnecting) {
      await sleep(10);
      for (const started of connecting) {
        if (started.status().controllers[0]?.isConnected === true) connecting.delete(started);
      }
    }
  }
}

interface Identity {
  readonly port: number;
  readonly secureContext: SecureContext;
  readonly localAddress: string;
}

/** As `createTunnelConnector` does, without a file for each of ten thousand certificates. */
function connectGateway(identity: Identity, signal: AbortSignal): Promise<Duplex> {
  const { port, secureContext, localAddress } = identity;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, localAddress, secureContext },
      servername: gatewayServerName,
      ALPNProtocols: [tunnelProtocol],
    });
    const onAbort = () => fail(new Error('took too long'));
    // The signal outlives the handshake, and must not end the session later.
    const settle = () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', fail);
    };
    const fail = (error: Error) => {
      settle();
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      settle();
      resolve(socket);
    });
  });
}
