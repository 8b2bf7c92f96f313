import path from 'node:path';
import { buildGoProgram } from '../../support/go/build-go-program.ts';
import type { CertificateFiles } from './certificates.ts';
import { startPeer } from './peer-process.ts';
import { listenPorts } from './ports.ts';
import type { Side } from './side.ts';

const moduleName = 'sigs.k8s.io/apiserver-network-proxy';
/** A first build compiles gRPC and Kubernetes' client. */
const buildTimeoutMs = 15 * 60_000;

/**
 * Konnectivity as a cluster runs it behind kube-apiserver's HTTPConnect over a Unix socket. Everything has its default
 * but the log, which is off (its default writes several lines for each connection).
 * @see https://github.com/kubernetes-sigs/apiserver-network-proxy
 */
export async function buildKonnectivity(certificates: CertificateFiles): Promise<Side> {
  const signal = AbortSignal.timeout(buildTimeoutMs);
  const server = await buildGoProgram('konnectivity', signal, `${moduleName}/cmd/server`);
  const agent = await buildGoProgram('konnectivity', signal, `${moduleName}/cmd/agent`);
  return {
    name: 'Konnectivity',
    startServer: async (directory) => {
      const [port = 0, healthPort, adminPort] = await listenPorts(3);
      const { cert, key } = certificates.addressedServer;
      const args = [
        '--mode=http-connect',
        `--uds-name=${socketPathIn(directory)}`,
        '--server-port=0',
        '--agent-bind-address=127.0.0.1',
        `--agent-port=${port}`,
        '--health-bind-address=127.0.0.1',
        `--health-port=${healthPort}`,
        `--admin-port=${adminPort}`,
        `--cluster-ca-cert=${certificates.ca}`,
        `--cluster-cert=${cert}`,
        `--cluster-key=${key}`,
        '--v=0',
      ];
      const logFile = path.join(directory, 'server.log');
      return { process: await startPeer({ program: server, args, directory, logFile }), port };
    },
    startAgent: async (directory, { serverPort }) => {
      const [healthPort, adminPort] = await listenPorts(2);
      const args = [
        '--proxy-server-host=127.0.0.1',
        `--proxy-server-port=${serverPort}`,
        `--ca-cert=${certificates.addressedServer.ca}`,
        `--agent-cert=${certificates.node}`,
        `--agent-key=${certificates.node}`,
        '--health-server-host=127.0.0.1',
        `--health-server-port=${healthPort}`,
        `--admin-server-port=${adminPort}`,
        '--v=0',
      ];
      const logFile = path.join(directory, 'agent.log');
      return startPeer({ program: agent, args, directory, logFile });
    },
    // Its agent dials whatever it is asked for; an address spares it the look-up.
    front: (directory, targetPort) => ({
      address: { path: socketPathIn(directory) },
      authority: `127.0.0.1:${targetPort}`,
    }),
  };
}

function socketPathIn(directory: string): string {
  return path.join(directory, 'tunnel.sock');
}
