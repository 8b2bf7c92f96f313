import { metricsProxyPassword, metricsProxyUser } from '../addons/metrics-server.ts';
import { componentVersion } from '../artifacts/catalog.ts';
import { listOffered } from '../artifacts/registry-offer.ts';
import { createRegistryRoute } from '../artifacts/registry-route.ts';
import { openStore } from '../artifacts/store.ts';
import { readTextIfExists } from '../base/files.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { pair, pkiFiles } from '../components/layout.ts';
import { createGateway, type Gateway } from '../gateway/gateway.ts';
import { createMetricsProxy } from '../gateway/metrics-proxy.ts';
import { createTokenCheck } from '../join/check-token.ts';
import { createJoinRecords } from '../join/join-records.ts';
import { createJoinRoute } from '../join/join-server.ts';
import type { RemovedNodes } from '../join/removed-nodes.ts';
import type { JoinDocument, JoinRequest, NodeSite } from '../join/types.ts';
import type { KubeClient, KubeObject } from '../kube-client/types.ts';
import { readSecret } from '../pki/ensure-secret.ts';
import { nodeResource } from '../reconcilers/resources.ts';
import type { TunnelSessions } from '../tunnel/sessions.ts';
import type { TunnelServer } from '../tunnel/tunnel-server.ts';
import type { KnownSites } from './known-sites.ts';
import type { PreparedNode } from './prepare.ts';
import { createRegistryAccess } from './registry-access.ts';
import { sharedConfig } from './shared-config.ts';
import { passwordOf } from './stack-secrets.ts';

export interface ControllerGatewayOptions {
  /** As it runs now: its configuration may change. */
  readonly node: () => PreparedNode;
  readonly client: KubeClient;
  readonly sessions: TunnelSessions;
  readonly tunnel: TunnelServer;
  readonly sites: KnownSites;
  readonly removed: RemovedNodes;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The one port that workers use besides the API's: join, artifacts, tunnel, and the proxy of metrics-server. */
export async function controllerGateway(options: ControllerGatewayOptions): Promise<Gateway> {
  const { client, sessions, tunnel, logger, clock } = options;
  const { paths, plan } = options.node();
  if (plan.gateway === undefined) throw new Error('a controller has a gateway');
  const store = await openStore(paths.storeDir);
  const tokens = createTokenCheck({ client, clock });
  const records = createJoinRecords(client);
  const monotonicMs = () => performance.now();
  const mayRead = createRegistryAccess({ tokens, records, monotonicMs });
  const password = plan.pki.secrets.find(({ name }) => name === metricsProxyPassword);
  const proxy =
    password === undefined
      ? undefined
      : createMetricsProxy({
          user: metricsProxyUser,
          password: passwordOf(await readSecret(password)),
          kubeletPort: plan.gateway.kubeletPort,
          serve: (socket, target) => tunnel.serve(socket, target),
          logger,
          clock,
        });
  return createGateway({
    address: '0.0.0.0',
    port: plan.gateway.port,
    tlsFiles: { ...pair(paths.pkiDir, 'gateway'), caFile: pkiFiles(paths).ca.certFile },
    routes: [
      createJoinRoute({
        tokens,
        records,
        isAlive: (name) => isAlive(options, name),
        describeDocument: (request, site) => describeDocument(options, store, { request, site }),
        onAdmitted: (name, site) => options.sites.learn(name, site),
        logger,
        clock,
      }),
      createRegistryRoute({
        store,
        authorize: (request, peer) =>
          mayRead({ authorization: request.headers.authorization, peer }),
        logger,
      }),
    ],
    acceptTunnel: (socket, identity) => {
      if (!options.removed.isRemoved(identity.nodeName)) {
        sessions.accept(socket, identity);
        return;
      }
      logger.info(`refused the tunnel of node ${identity.nodeName}, which was removed`);
      socket.destroy();
    },
    releaseTunnels: sessions.release,
    ...(proxy === undefined ? {} : { handleConnect: proxy.handleConnect }),
    logger,
    clock,
  });
}

async function isAlive(
  { node, client, sessions }: ControllerGatewayOptions,
  nodeName: string,
): Promise<boolean> {
  if (nodeName === node().plan.nodeName || sessions.isConnected(nodeName)) return true;
  const found = await client.get<KubeObject & { status?: { conditions?: readonly Condition[] } }>({
    resource: nodeResource,
    name: nodeName,
  });
  return (
    found?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ??
    false
  );
}

interface Condition {
  readonly type: string;
  readonly status: string;
}

async function describeDocument(
  { node }: ControllerGatewayOptions,
  store: Parameters<typeof listOffered>[0],
  asking: { readonly request: JoinRequest; readonly site: NodeSite },
): Promise<JoinDocument> {
  const { config, paths, plan } = node();
  const { request, site } = asking;
  const { api } = config.spec;
  const host = api.externalAddress === '' ? plan.nodeAddress : api.externalAddress;
  return {
    version: 1,
    ca: (await readTextIfExists(pkiFiles(paths).ca.certFile)) ?? '',
    apiServers: [`${host}:${api.port}`],
    gateways: [`${host}:${api.gatewayPort}`],
    config: sharedConfig(config),
    kubernetesVersion: componentVersion('kubernetes'),
    site,
    artifacts: await listOffered(store, request.arch),
  };
}
