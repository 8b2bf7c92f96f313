import type { ControllerCredentials } from '../artifacts/controller-source-http.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { pkiFiles } from '../components/layout.ts';
import { GatewayError } from '../join/gateway-error.ts';
import { joinCluster } from '../join/join-client.ts';
import type { JoinDocument, JoinToken } from '../join/types.ts';
import { pinOf } from '../join/verify-gateway.ts';
import { certificateBlocks } from '../pki/pem.ts';
import {
  forgetRemoval,
  hasKubeletCertificate,
  isKubeletCertificateExpired,
  prepareBootstrap,
  readKeptToken,
  readMembership,
  readRemoval,
  type StoredMembership,
  writeMembership,
} from './membership.ts';
import { chooseNodeName, type InspectedWorker, type WorkerSettings } from './prepare-worker.ts';
import { ensureDirectories } from './realise.ts';
import { askAgain, describeMachine, gatewayClient } from './refresh-document.ts';
import { reportStep } from './report-step.ts';
import type { StartOptions } from './start.ts';

/** A worker that is a member of its cluster. */
export interface Member {
  readonly stored: StoredMembership;
  /** The document has just come. */
  readonly isFresh: boolean;
  /** By which the controllers know this machine until it has its certificate, and after. */
  readonly credentials: ControllerCredentials;
}

export interface MembershipOptions extends StartOptions, WorkerSettings {
  readonly joinToken: JoinToken | undefined;
  readonly proxy: ProxySettings | undefined;
  /** Looks whether this machine can run what the document says, before anything of it is written. */
  readonly check: (stored: StoredMembership) => Promise<void>;
}

/** A machine that joined must start without a network: it asks whether its token is needed for no longer than this. */
const askTimeoutMs = 5_000;

/**
 * What an earlier join left, or a new one. A token is used where there is no membership, or where it has come to its
 * end: its certificate has expired, or the cluster no longer takes it.
 * @throws UserError, GatewayError or UserErrors.
 */
export async function ensureMembership(
  machine: InspectedWorker,
  options: MembershipOptions,
  signal: AbortSignal,
): Promise<Member> {
  const { paths } = machine;
  const { joinToken } = options;
  const stored = await readMembership(paths);
  if (stored !== undefined && joinToken !== undefined) requireSameCluster(stored, joinToken);
  if (stored !== undefined && (await hasKubeletCertificate(paths))) {
    if (!(await isOver(machine, { ...options, stored }, signal))) {
      requireSameName(stored, options);
      return { stored, isFresh: false, credentials: certificateCredentials(machine) };
    }
  }
  const kept = stored === undefined ? undefined : await readKeptToken(paths);
  if (joinToken === undefined && stored !== undefined && kept !== undefined) {
    requireSameName(stored, options);
    // Ended between its join and its certificate: the token is still there for the one request.
    return { stored, isFresh: false, credentials: { kind: 'token', token: kept } };
  }
  if (joinToken === undefined) throw tokenNeeded(stored);
  const nodeName = chooseNodeName(options, machine.host, stored?.nodeName);
  return join({ ...machine, nodeName }, { ...options, joinToken }, signal);
}

/**
 * Whether the membership has to be renewed with the token that is there.
 * @throws UserError when it has come to its end, and no token is there.
 */
async function isOver(
  machine: InspectedWorker,
  options: MembershipOptions & { readonly stored: StoredMembership },
  signal: AbortSignal,
): Promise<boolean> {
  const { paths } = machine;
  const { stored, joinToken, clock, logger } = options;
  const removal = await readRemoval(paths);
  if (joinToken === undefined && removal === undefined) return false;
  if (joinToken !== undefined && removal !== undefined) return true;
  const isExpired = await isKubeletCertificateExpired(paths, clock.now());
  if (joinToken !== undefined && isExpired) return true;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(askTimeoutMs)]);
  try {
    await askAgain({ ...options, ...machine, ...stored }, stored.document.gateways, limit);
    await forgetRemoval(paths);
    return false;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof GatewayError && error.failure === 'refused') {
      if (joinToken === undefined) throw error;
      logger.info(`using the token: ${error.why}`);
      return true;
    }
    if (removal !== undefined) throw removedEarlier(removal, errorMessage(error));
    logger.info(`no controller says whether the token is needed: ${errorMessage(error)}`);
    return false;
  }
}

async function join(
  machine: InspectedWorker & { readonly nodeName: string },
  options: MembershipOptions & { readonly joinToken: JoinToken },
  signal: AbortSignal,
): Promise<Member> {
  const { paths, host, nodeName } = machine;
  const { joinToken, onEvent, clock } = options;
  return await reportStep(`joining the cluster as ${nodeName}`, onEvent, async () => {
    const request = await describeMachine(host, { nodeName, version: options.version });
    const client = gatewayClient({ proxy: options.proxy, clock });
    const { document } = await joinCluster(joinToken, request, client, signal);
    const stored = { nodeName, document };
    await options.check(stored);
    await ensureJoinDirectories(machine);
    await writeFileAtomic(pkiFiles(paths).ca.certFile, document.ca, { mode: 0o644 });
    await prepareBootstrap(paths, { token: joinToken, apiPort: apiPortOf(document) });
    await writeMembership(paths, stored);
    await forgetRemoval(paths);
    const token = `${joinToken.id}.${joinToken.secret}`;
    return { stored, isFresh: true, credentials: { kind: 'token', token } };
  });
}

async function ensureJoinDirectories({ paths }: InspectedWorker): Promise<void> {
  const isOpen = (path: string) => path === paths.dataDir || path === paths.pkiDir;
  await ensureDirectories(
    [paths.dataDir, paths.stateDir, paths.etcDir, paths.pkiDir].map((path) => ({
      path,
      mode: isOpen(path) ? 0o711 : 0o700,
      uid: 0,
      gid: 0,
    })),
  );
}

function certificateCredentials({ paths }: InspectedWorker): ControllerCredentials {
  const file = kubeletClientCertificate(paths);
  return { kind: 'certificate', certFile: file, keyFile: file };
}

function apiPortOf(document: JoinDocument): number {
  const { spec } = document.config as { spec?: { api?: { port?: number } } };
  return spec?.api?.port ?? 6443;
}

/** Its pods, volumes and certificates are of the other cluster: nothing of it may be carried over. */
function requireSameCluster({ nodeName, document }: StoredMembership, token: JoinToken): void {
  if (certificateBlocks(document.ca).some((pem) => pinOf(pem) === token.caPin)) return;
  throw new UserError({
    what: 'join the cluster of this token',
    why: `this machine is the node ${nodeName} of another cluster already`,
    fix: 'mini-k8s reset --yes first; or start it without the token, to stay where it is',
  });
}

function requireSameName({ nodeName }: StoredMembership, settings: WorkerSettings): void {
  if (settings.nodeName === undefined || settings.nodeName === nodeName) return;
  throw new UserError({
    what: `start the node ${settings.nodeName}`,
    why: `this machine is the node ${nodeName} already`,
    fix: 'leave --node-name out; for another name: mini-k8s reset --yes first, then a fresh token',
  });
}

function removedEarlier(removal: UserError, problem: string): UserError {
  return new UserError({
    what: removal.what,
    why: `${removal.why}, and no controller says otherwise now (${problem})`,
    ...(removal.fix === undefined ? {} : { fix: removal.fix }),
  });
}

export function tokenNeeded(stored: StoredMembership | undefined): UserError {
  return new UserError({
    what: 'start the worker',
    why:
      stored === undefined
        ? 'this machine has not joined a cluster yet'
        : `the node ${stored.nodeName} has no certificate: it did not complete its join`,
    fix: 'run mini-k8s token create on the controller, and start this with --token or --token-file',
  });
}
