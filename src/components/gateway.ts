import { gatewayServerName } from '../base/gateway-names.ts';
import type { Paths } from '../config/paths.ts';
import { controllerNames } from './kube-apiserver.ts';
import { configFile, leafTtlDays, pair } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** What `mini-k8s token` needs to know of the running controller. */
export interface GatewayRecord {
  /** `host:port` at which workers reach the gateway. */
  readonly servers: readonly string[];
}

/** Where the record lies. */
export function gatewayRecordFile(paths: Paths): string {
  return `${paths.etcDir}/gateway.json`;
}

/**
 * The port of a controller for workers: in this process, so what is planned is its certificate. The chain ends with
 * the CA, in which a joining machine finds the pin of its token (design §11.10).
 */
export function planGateway(context: PlanContext): ComponentPlan {
  const { dnsNames, ipAddresses } = controllerNames(context);
  const { api } = context.config.spec;
  const host = api.externalAddress === '' ? context.nodeAddress : api.externalAddress;
  const record: GatewayRecord = { servers: [`${host}:${api.gatewayPort}`] };
  return {
    certificates: [
      {
        name: 'gateway',
        authority: 'ca',
        commonName: 'mini-k8s-gateway',
        organizations: [],
        usage: 'server',
        dnsNames: [gatewayServerName, ...dnsNames],
        ipAddresses,
        ...pair(context.paths.pkiDir, 'gateway'),
        ttlDays: leafTtlDays,
        includeAuthority: true,
      },
    ],
    files: [configFile(gatewayRecordFile(context.paths), record)],
  };
}
