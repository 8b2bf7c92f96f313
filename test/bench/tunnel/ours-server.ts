// The controller's end of our tunnel: sessions behind TLS, real routes, and the socket for kube-apiserver. Its options
// come as JSON.
import { readFileSync } from 'node:fs';
import { createClusterRoutes } from '../../../src/tunnel/route-cluster.ts';
import { startController } from '../../integration/tunnel/tunnel-peers.ts';

export interface OurServerOptions {
  readonly port: number;
  readonly socketPath: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly nodeName: string;
  readonly kubeletPort: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as OurServerOptions;
const { nodeName, kubeletPort, socketPath } = options;
const routes = createClusterRoutes({
  localNode: undefined,
  podCIDR: '10.244.0.0/16',
  serviceCIDR: '10.96.0.0/12',
});
routes.replaceNodes([
  {
    ...{ name: nodeName, hostname: nodeName, kubeletPort },
    addresses: ['192.168.1.7'],
    podCIDRs: ['10.244.1.0/24'],
  },
]);
const read = (file: string) => readFileSync(file, 'utf8');
void startController(
  {
    ca: read(options.caFile),
    gateway: { cert: read(options.certFile), key: read(options.keyFile) },
  },
  { port: options.port, server: { routes, socketPath } },
);
// Not the default end: a CPU profile is written at `exit`.
process.once('SIGTERM', () => process.exit());
