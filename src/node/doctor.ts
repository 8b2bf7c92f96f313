import { readLearnedServers } from '../api-endpoint/learned-servers.ts';
import { errorCode, errorMessage, throwCollected, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import { type HostPort, parseHostPort, renderHostPort } from '../base/host-port.ts';
import { type ProxySettings, proxySettingsFrom } from '../base/proxy-settings.ts';
import { systemClock } from '../base/time.ts';
import { type GatewayRecord, gatewayRecordFile } from '../components/gateway.ts';
import { kubeconfigPath, pkiFiles } from '../components/layout.ts';
import { isAtOrBelow } from '../config/layers.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import { environmentFile as installedEnvironmentFile } from '../install/paths.ts';
import { parseEnvironment } from '../install/render-environment.ts';
import { type ConfigSourceOptions, inspectSources } from './config-sources.ts';
import { probeEndpoint } from './doctor-probe.ts';
import type { DoctorEndpoint, DoctorReport } from './doctor-types.ts';
import { judgeEndpoint } from './doctor-verdicts.ts';
import { joinDocumentFile, readMembership } from './membership.ts';

export interface DoctorOptions extends ConfigSourceOptions {
  readonly dataDir?: string;
  /** `host` or `host:port` instead of what this machine knows. */
  readonly server?: string;
  /** Of the service; the installed one's when left out. */
  readonly environmentFile?: string;
  readonly timeoutMs?: number;
}

/** A controller under load takes seconds; somebody waits for this at a terminal. */
const defaultTimeoutMs = 5_000;
const gatewayPort = 9443;
const apiPort = 6443;

/** Where the local API keeps the servers that it learned. */
function learnedServersFile(paths: Paths): string {
  return `${paths.stateDir}/api-servers.json`;
}

/**
 * Looks at every way from this machine to its controllers, all at the same time: who answers, whether it is of this
 * cluster, what time it is there, how big packets may be. Changes nothing and needs no running mini-k8s.
 * @throws UserError or UserErrors when there is nothing to look at, or for an address or proxy that is none.
 */
export async function checkConnectivity(
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const proxy = await readProxy(options);
  const paths = pathsFor(options);
  const targets = await findTargets(paths, options.server);
  const probes = await Promise.all(
    targets.endpoints.map((endpoint) =>
      probeEndpoint(
        endpoint,
        {
          ca: targets.ca,
          proxy,
          clock: systemClock,
          timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
        },
        signal,
      ),
    ),
  );
  const context = { nowMs: systemClock.now() };
  const checks = probes.flatMap((probe) => judgeEndpoint(probe, context));
  const isHealthy = checks.every(({ state }) => state !== 'fail');
  return { source: targets.source, isHealthy, checks };
}

/** The proxy that a node takes here. What else is wrong with the configuration is not in the way to a controller. */
async function readProxy(options: DoctorOptions): Promise<ProxySettings | undefined> {
  const env = { ...options.env, ...(await readServiceEnvironment(options)) };
  const { config, errors, wrongPaths } = await inspectSources({ ...options, env });
  const field = 'spec.proxy';
  const isWrong = wrongPaths.some((path) => isAtOrBelow(path, field) || isAtOrBelow(field, path));
  if (isWrong) throwCollected(errors);
  return proxySettingsFrom(proxyVariables(config.spec.proxy));
}

/** An installed node has what was set when it was installed, and this shell may know nothing of it. */
async function readServiceEnvironment({
  environmentFile = installedEnvironmentFile,
}: DoctorOptions): Promise<Record<string, string>> {
  try {
    return parseEnvironment((await readTextIfExists(environmentFile)) ?? '');
  } catch (error) {
    // It may hold a password: it is root's.
    if (errorCode(error) === 'EACCES') return {};
    throw error;
  }
}

interface Targets {
  readonly source: string;
  readonly ca: string | undefined;
  readonly endpoints: readonly DoctorEndpoint[];
}

async function findTargets(paths: Paths, server: string | undefined): Promise<Targets> {
  const known = await knownTargets(paths).catch((error: unknown) => {
    // Only the CA would be missing then.
    if (server !== undefined && error instanceof UserError) return undefined;
    throw error;
  });
  if (server !== undefined) {
    return { source: '--server', ca: known?.ca, endpoints: endpointsOf(server) };
  }
  if (known !== undefined) return known;
  throw new UserError({
    what: 'check the connection to the controllers',
    why: `this machine has not joined a cluster: there is no ${joinDocumentFile(paths)}`,
    fix: 'name a controller: mini-k8s doctor --connectivity --server HOST',
  });
}

async function knownTargets(paths: Paths): Promise<Targets | undefined> {
  return (await targetsOfWorker(paths)) ?? (await targetsOfController(paths));
}

async function targetsOfWorker(paths: Paths): Promise<Targets | undefined> {
  const membership = await forRoot(() => readMembership(paths));
  if (membership === undefined) return undefined;
  const { gateways, apiServers, ca } = membership.document;
  const learned = await forRoot(() => readLearnedServers(learnedServersFile(paths)));
  return {
    source: joinDocumentFile(paths),
    ca,
    endpoints: [
      ...gateways.map((server) => endpoint('gateway', server)),
      ...apiServers.map((server) => endpoint('api', server)),
      ...learned
        .filter((server) => !apiServers.includes(server))
        .map((server) => ({ ...endpoint('api', server), isLearned: true })),
    ],
  };
}

/** On a controller: the addresses that it tells workers. */
async function targetsOfController(paths: Paths): Promise<Targets | undefined> {
  const file = gatewayRecordFile(paths);
  const text = await forRoot(() => readTextIfExists(file));
  if (text === undefined) return undefined;
  const { servers } = JSON.parse(text) as GatewayRecord;
  const kubeconfig = await forRoot(() => readTextIfExists(kubeconfigPath(paths, 'admin')));
  const port = Number(/server: "?https:\/\/[^:]+:(\d+)/.exec(kubeconfig ?? '')?.[1] ?? apiPort);
  const gateways = servers.map((server) => endpoint('gateway', server));
  const apis = gateways.map(({ address }) =>
    endpoint('api', renderHostPort({ host: address.host, port })),
  );
  const ca = await forRoot(() => readTextIfExists(pkiFiles(paths).ca.certFile));
  return { source: file, ca, endpoints: [...gateways, ...apis] };
}

/** @throws UserError where the state of the node may not be read. */
async function forRoot<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    throw new UserError({
      what: 'read which controllers this machine has',
      why: errorMessage(error),
      fix: 'run it with sudo',
      cause: error,
    });
  }
}

/** Both ports of a host; of `host:port` the one, which 9443 makes a gateway. Pure. */
export function endpointsOf(server: string): DoctorEndpoint[] {
  const address = parseHostPort(server);
  if (address !== undefined) {
    return [endpoint(address.port === apiPort ? 'api' : 'gateway', server)];
  }
  const both = [gatewayPort, apiPort].map((port) => parseHostPort(server, port));
  const kinds = ['gateway', 'api'] as const;
  return both.map((each, i) =>
    endpoint(kinds[i] ?? 'api', each === undefined ? server : renderHostPort(each)),
  );
}

function endpoint(kind: DoctorEndpoint['kind'], text: string): DoctorEndpoint {
  const address: HostPort | undefined = parseHostPort(text, kind === 'api' ? apiPort : gatewayPort);
  if (address !== undefined) return { kind, address, isLearned: false };
  throw new UserError({
    what: `check the connection to ${JSON.stringify(text)}`,
    why: 'it is neither a host nor host:port',
    fix: 'use --server 10.0.0.4 or --server controller.example:9443',
  });
}
