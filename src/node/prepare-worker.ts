import { throwCollected, UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost } from '../config/parse.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { previewJoin } from '../join/join-client.ts';
import { parseJoinToken } from '../join/token.ts';
import type { ConfigSourceOptions } from './config-sources.ts';
import { credentialProblems } from './credentials.ts';
import { gatherHostFacts } from './host-facts.ts';
import { readLocalConfig } from './local-config.ts';
import { hasKubeletCertificate, readMembership, type StoredMembership } from './membership.ts';
import { checkOwnSettings, nameErrors, type OwnSettings } from './own-settings.ts';
import { planWorker } from './plan.ts';
import { lastAddressFile, type Planned, type PreparedNode } from './prepare.ts';
import { describeMachine, gatewayClient } from './refresh-document.ts';
import { inspectMember } from './worker-config.ts';

/** What is said on a worker about itself. */
export interface WorkerSettings extends OwnSettings, ConfigSourceOptions {
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
  readonly version: string;
  readonly clock: Clock;
}

export async function inspectWorker(settings: {
  readonly dataDir?: string;
}): Promise<InspectedWorker> {
  const paths = pathsFor(settings);
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  return { paths, host };
}

/** The name that this machine is given: on the command line, or else by its configuration. */
export function ownName(
  settings: Pick<WorkerSettings, 'nodeName'>,
  local: { readonly nodeName: string | undefined },
): { readonly nodeName?: string } {
  const nodeName = settings.nodeName ?? local.nodeName;
  return nodeName === undefined ? {} : { nodeName };
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
  stored: StoredMembership,
  settings: WorkerSettings,
): Promise<PreparedNode> {
  const { paths, host } = worker;
  const { nodeName } = stored;
  const hasCertificate = await hasKubeletCertificate(paths);
  const replan = async (): Promise<Planned> => {
    // What the controllers say now, and not where they are: that is not for a running node to change.
    const { document } = (await readMembership(paths)) ?? stored;
    const inspected = await inspectMember({ nodeName, document }, settings, settings);
    throwCollected([
      ...inspected.errors,
      ...checkHost(inspected, host, 'of the cluster'),
      ...(await credentialProblems(inspected)),
    ]);
    const { config } = inspected;
    const { ca, gateways, apiServers } = stored.document;
    const membership = { ca, gateways, hasCertificate };
    return { config, plan: planWorker({ config, host, paths, apiServers, membership }) };
  };
  return { host, paths, replan, ...(await replan()) };
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
  const local = await readLocalConfig(options);
  const machine = await inspectWorker(options);
  const stored = await readMembership(machine.paths);
  if (stored !== undefined) return prepareWorker(machine, stored, options);
  if (token === undefined) throw unknownCluster();
  const nodeName = chooseNodeName(ownName(options, local), machine.host, undefined);
  const request = await describeMachine(machine.host, { nodeName, version: options.version });
  const client = gatewayClient({ ...options, proxy: local.proxy });
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
