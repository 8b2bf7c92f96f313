import type { ControllerCredentials } from '../artifacts/controller-source-http.ts';
import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { type ProxySettings, proxySettingsFrom } from '../base/proxy-settings.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { pkiFiles } from '../components/layout.ts';
import { joinCluster } from '../join/join-client.ts';
import { parseJoinToken } from '../join/token.ts';
import type { JoinDocument, JoinToken } from '../join/types.ts';
import type { NodeEvent } from './events.ts';
import {
  hasKubeletCertificate,
  isKubeletCertificateExpired,
  prepareBootstrap,
  readKeptToken,
  readMembership,
  type StoredMembership,
  writeMembership,
} from './membership.ts';
import {
  checkDataDirectory,
  checkFreePorts,
  checkServiceTools,
  requireRoot,
  workerPortUses,
} from './preflight.ts';
import {
  type InspectedWorker,
  inspectWorker,
  prepareWorker,
  type WorkerSettings,
} from './prepare-worker.ts';
import {
  ensureDirectories,
  realiseComponents,
  realiseMachine,
  type SourceParts,
} from './realise.ts';
import { restorePodNetwork } from './reconcilers.ts';
import { describeMachine, gatewayClient } from './refresh-document.ts';
import { runGuarded, runUnderLock, type StartOptions } from './start.ts';
import { startTime } from './start-time.ts';
import { superviseWorker } from './supervise-worker.ts';
import { workerSource } from './worker-source.ts';

export interface WorkerOptions extends StartOptions, WorkerSettings {
  /** A join token's text. Not needed, and not used, by a node that is a member already. */
  readonly token?: string;
  /** For the machine's HTTP proxy. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Called when components were downloaded: the worker ends then, and shall be started again without the token. A
   * download leaves 6 to 11 MiB of this process's heap in pieces, for as long as it runs.
   */
  readonly endAfterDownload?: () => void;
}

/**
 * Runs a worker until the signal aborts. A machine that has joined needs no network for it.
 * @throws UserError or UserErrors when it cannot join or start; a component that fails later is only reported.
 */
export function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  return runGuarded(options, signal, startWorker);
}

async function startWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const started = startTime(options.clock);
  requireRoot('start the worker');
  const token = options.token === undefined ? undefined : parseJoinToken(options.token);
  const proxy = proxySettingsFrom(options.env);
  const machine = await inspectWorker(options);
  await checkDataDirectory(machine.paths);
  await runUnderLock(machine.paths, { ...options, command: 'worker' }, signal, async () => {
    const member = await ensureMembership(machine, { ...options, joinToken: token, proxy }, signal);
    const { document } = member.stored;
    const settings = { ...options, nodeName: member.stored.nodeName };
    const worker = { ...machine, nodeName: member.stored.nodeName };
    const node = await prepareWorker(worker, document, settings);
    checkServiceTools(node);
    await checkFreePorts(workerPortUses(node.config));
    let hasDownloaded = false;
    const realise = {
      ...options,
      paths: node.paths,
      signal,
      onEvent: (event: NodeEvent) => {
        hasDownloaded ||= event.type === 'import-finished' && event.blobs > 0;
        options.onEvent(event);
      },
      moreSources: (parts: SourceParts) => [
        workerSource({
          ...{ ...options, ...parts, ...member, proxy },
          request: () => describeMachine({ host: node.host, plan: node.plan }, options.version),
          keep: (stored) => writeMembership(node.paths, stored),
          random: Math.random,
        }),
      ],
    };
    await realiseComponents(node.plan, realise);
    if (hasDownloaded && options.endAfterDownload !== undefined) return options.endAfterDownload();
    await realiseMachine(node.plan, realise);
    await restorePodNetwork(node.plan);
    await superviseWorker(node, { ...options, started, document, proxy }, signal);
  });
}

interface Member {
  readonly stored: StoredMembership;
  /** The document has just come. */
  readonly isFresh: boolean;
  /** By which the controllers know this machine until it has its certificate, and after. */
  readonly credentials: ControllerCredentials;
}

interface MembershipOptions extends WorkerOptions {
  readonly joinToken: JoinToken | undefined;
  readonly proxy: ProxySettings | undefined;
}

/** What an earlier join left, or a new one. */
async function ensureMembership(
  machine: InspectedWorker,
  options: MembershipOptions,
  signal: AbortSignal,
): Promise<Member> {
  const { paths } = machine;
  const { joinToken } = options;
  await ensureDirectories(
    [paths.dataDir, paths.stateDir, paths.etcDir, paths.pkiDir].map((path) => ({
      path,
      mode: path === paths.dataDir || path === paths.pkiDir ? 0o711 : 0o700,
      uid: 0,
      gid: 0,
    })),
  );
  const stored = await readMembership(paths);
  if (stored !== undefined && (await hasKubeletCertificate(paths))) {
    const isUsable = joinToken === undefined || !(await needsFreshToken(machine, stored, options));
    if (isUsable) {
      return { stored, isFresh: false, credentials: certificateCredentials(machine) };
    }
  }
  const kept = stored === undefined ? undefined : await readKeptToken(paths);
  if (joinToken === undefined && stored !== undefined && kept !== undefined) {
    // Ended between its join and its certificate: the token is still there for the one request.
    return { stored, isFresh: false, credentials: { kind: 'token', token: kept } };
  }
  if (joinToken === undefined) throw tokenNeeded(stored);
  return join(machine, { ...options, joinToken }, signal);
}

/** A token is used again only where the old membership has come to its end. */
async function needsFreshToken(
  { paths, nodeName }: InspectedWorker,
  stored: StoredMembership,
  options: MembershipOptions,
): Promise<boolean> {
  if (await isKubeletCertificateExpired(paths, options.clock.now())) return true;
  if (options.nodeName !== undefined && stored.nodeName !== nodeName) {
    throw new UserError({
      what: `join as ${nodeName}`,
      why: `this machine is the node ${stored.nodeName} already`,
      fix: 'mini-k8s reset --yes first, or leave --node-name out',
    });
  }
  return false;
}

async function join(
  machine: InspectedWorker,
  options: MembershipOptions & { readonly joinToken: JoinToken },
  signal: AbortSignal,
): Promise<Member> {
  const { paths, host, nodeName } = machine;
  const { joinToken, onEvent, clock } = options;
  const startedAt = performance.now();
  const step = `joining the cluster as ${nodeName}`;
  const elapsedMs = () => performance.now() - startedAt;
  onEvent({ type: 'step-started', step });
  try {
    const request = await describeMachine({ host, plan: { nodeName } }, options.version);
    const client = gatewayClient({ proxy: options.proxy, clock });
    const { document } = await joinCluster(joinToken, request, client, signal);
    await writeFileAtomic(pkiFiles(paths).ca.certFile, document.ca, { mode: 0o644 });
    await prepareBootstrap(paths, { token: joinToken, apiPort: apiPortOf(document) });
    const stored = { nodeName, document };
    await writeMembership(paths, stored);
    onEvent({ type: 'step-finished', step, elapsedMs: elapsedMs() });
    const token = `${joinToken.id}.${joinToken.secret}`;
    return { stored, isFresh: true, credentials: { kind: 'token', token } };
  } catch (error) {
    onEvent({ type: 'step-failed', step, elapsedMs: elapsedMs() });
    throw error;
  }
}

function certificateCredentials({ paths }: InspectedWorker): ControllerCredentials {
  const file = kubeletClientCertificate(paths);
  return { kind: 'certificate', certFile: file, keyFile: file };
}

function apiPortOf(document: JoinDocument): number {
  const { spec } = document.config as { spec?: { api?: { port?: number } } };
  return spec?.api?.port ?? 6443;
}

function tokenNeeded(stored: StoredMembership | undefined): UserError {
  return new UserError({
    what: 'start the worker',
    why:
      stored === undefined
        ? 'this machine has not joined a cluster yet'
        : `the node ${stored.nodeName} has no certificate: it did not complete its join`,
    fix: 'run mini-k8s token create on the controller, and start this with --token or --token-file',
  });
}
