import { throwCollected, UserError } from '../base/errors.ts';
import { proxySettingsFrom } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost, inspectConfig } from '../config/parse.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { previewJoin } from '../join/join-client.ts';
import { parseJoinToken } from '../join/token.ts';
import type { JoinDocument } from '../join/types.ts';
import { gatherHostFacts } from './host-facts.ts';
import { hasKubeletCertificate, readMembership, type StoredMembership } from './membership.ts';
import { checkOwnSettings, nameErrors, type OwnSettings, ownConfig } from './own-settings.ts';
import { planWorker } from './plan.ts';
import { lastAddressFile, type PreparedNode } from './prepare.ts';
import { describeMachine, gatewayClient } from './refresh-document.ts';

/** What is said on the command line of a worker about itself. */
export interface WorkerSettings extends OwnSettings {
  readonly dataDir?: string;
}

/** The machine, before anything is known of the cluster. */
export interface InspectedWorker {
  readonly paths: Paths;
  readonly host: HostFacts;
}

export interface PreviewOptions extends WorkerSettings {
  /** A join token's text; needed by a machine that has not joined. */
  readonly token?: string;
  /** For the machine's HTTP proxy. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly clock: Clock;
}

export async function inspectWorker(settings: WorkerSettings): Promise<InspectedWorker> {
  const paths = pathsFor(settings);
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  return { paths, host };
}

/**
 * The name by which this machine joins: the one that it is given, or had, or else its host name.
 * @throws UserError for one that no node can have.
 */
export function chooseNodeName(
  settings: Pick<WorkerSettings, 'nodeName'>,
  host: Pick<HostFacts, 'hostname'>,
  previous: string | undefined,
): string {
  const name = settings.nodeName ?? previous ?? host.hostname.toLowerCase();
  throwCollected(nameErrors(name));
  return name;
}

/** Plans a worker from what it learned when it joined. Changes nothing, and needs no network. */
export async function prepareWorker(
  worker: InspectedWorker,
  { nodeName, document }: StoredMembership,
  settings: WorkerSettings,
): Promise<PreparedNode> {
  const { paths, host } = worker;
  const inspected = await inspectConfig(
    workerConfig(document, nodeName, settings),
    'of the cluster',
  );
  throwCollected([...inspected.errors, ...checkHost(inspected, host, 'of the cluster')]);
  const { config } = inspected;
  const plan = planWorker({
    config,
    host,
    paths,
    apiServers: document.apiServers,
    membership: {
      ca: document.ca,
      gateways: document.gateways,
      hasCertificate: await hasKubeletCertificate(paths),
    },
  });
  return { config, host, paths, plan };
}

/**
 * The plan of a machine that has joined, or would join with a token, for looking at. Changes nothing, here or in the
 * cluster.
 * @throws UserError when it has neither, GatewayError when no controller tells what it would be.
 */
export async function previewWorker(
  options: PreviewOptions,
  signal: AbortSignal,
): Promise<PreparedNode> {
  const token = options.token === undefined ? undefined : parseJoinToken(options.token);
  await checkOwnSettings(options);
  const machine = await inspectWorker(options);
  const stored = await readMembership(machine.paths);
  if (stored !== undefined) return prepareWorker(machine, stored, options);
  if (token === undefined) throw unknownCluster();
  const nodeName = chooseNodeName(options, machine.host, undefined);
  const request = await describeMachine(machine.host, { nodeName, version: options.version });
  const client = gatewayClient({ ...options, proxy: proxySettingsFrom(options.env) });
  const { document } = await previewJoin(token, request, client, signal);
  return prepareWorker(machine, { nodeName, document }, options);
}

function unknownCluster(): UserError {
  return new UserError({
    what: 'plan a worker',
    why: 'this machine has not joined a cluster yet, and what it will run is what its cluster says',
    fix: 'give it a token, which it only shows: mini-k8s worker --dry-run --token-file FILE',
  });
}

/** The cluster's configuration with this machine's part in it, as the text that the parser takes. */
function workerConfig(document: JoinDocument, nodeName: string, settings: WorkerSettings): string {
  const config = document.config as { spec?: object };
  const node = { name: nodeName, ...ownConfig(settings) };
  return JSON.stringify({ ...config, spec: { ...config.spec, node } });
}
