import { access, readFile, rm } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { ensureFile, readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { bootstrapKubeconfigPath, kubeletClientCertificate } from '../components/kubelet.ts';
import { kubeconfigPath, pkiFiles } from '../components/layout.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { parseJoinDocument } from '../join/document.ts';
import type { JoinDocument, JoinToken } from '../join/types.ts';
import { renderKubeconfig } from '../pki/kubeconfig.ts';

/** What a worker remembers of the cluster that it belongs to. */
export interface StoredMembership {
  readonly nodeName: string;
  readonly document: JoinDocument;
}

/** Where the join document lies; `doctor` reads it too. */
export function joinDocumentFile(paths: Paths): string {
  return `${paths.stateDir}/join.json`;
}

function nodeNameFile(paths: Paths): string {
  return `${paths.stateDir}/node-name`;
}

/**
 * What an earlier join left on the disk; undefined on a machine that never joined.
 * @throws UserError when it is damaged.
 */
export async function readMembership(paths: Paths): Promise<StoredMembership | undefined> {
  const file = joinDocumentFile(paths);
  const [text, nodeName] = await Promise.all([
    readTextIfExists(file),
    readTextIfExists(nodeNameFile(paths)),
  ]);
  // The document is written last: without it the join was never completed.
  if (text === undefined || nodeName === undefined) return undefined;
  return { nodeName: nodeName.trim(), document: parseDocument(text, file) };
}

/** Whether this machine has completed a join, whatever became of it. */
export async function hasJoined(options: { readonly dataDir?: string }): Promise<boolean> {
  const paths = pathsFor(options);
  return (await readMembership(paths)) !== undefined && (await hasKubeletCertificate(paths));
}

function parseDocument(text: string, file: string): JoinDocument {
  try {
    return parseJoinDocument(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError({
      what: `read ${file}`,
      why: error.message,
      fix: 'join again: mini-k8s reset --yes, then mini-k8s worker with a fresh token',
      cause: error,
    });
  }
}

/** Makes the membership durable: from here on the node starts without any network. */
export async function writeMembership(paths: Paths, stored: StoredMembership): Promise<void> {
  const own = { mode: 0o600, uid: 0, gid: 0 };
  await ensureFile({ path: nodeNameFile(paths), content: `${stored.nodeName}\n`, ...own });
  const content = `${JSON.stringify(stored.document, null, 2)}\n`;
  await ensureFile({ path: joinDocumentFile(paths), content, ...own });
}

function removalFile(paths: Paths): string {
  return `${paths.stateDir}/removed.json`;
}

/** Remembers what a controller said to a node that was taken out: the next start says it again, with no kubelet before. */
export async function writeRemoval(paths: Paths, said: UserError): Promise<void> {
  const { why, fix } = said;
  await writeFileAtomic(removalFile(paths), `${JSON.stringify({ why, fix })}\n`, { mode: 0o600 });
}

/** What a controller said when it last refused this node; undefined for a node in good standing. */
export async function readRemoval(paths: Paths): Promise<UserError | undefined> {
  const text = await readTextIfExists(removalFile(paths));
  if (text === undefined) return undefined;
  try {
    return removalError(JSON.parse(text) as { readonly why: string; readonly fix?: string });
  } catch (error) {
    // Half-written: the controllers say it again.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What a worker ends with when it was taken out of its cluster. */
export function removalError(said: { readonly why: string; readonly fix?: string | undefined }) {
  const { why, fix } = said;
  return new UserError({ what: 'run this worker', why, ...(fix === undefined ? {} : { fix }) });
}

export async function forgetRemoval(paths: Paths): Promise<void> {
  await rm(removalFile(paths), { force: true });
}

/** Whether the kubelet has a certificate and the kubeconfig that names it. */
export async function hasKubeletCertificate(paths: Paths): Promise<boolean> {
  const files = [kubeletClientCertificate(paths), kubeconfigPath(paths, 'kubelet')];
  const found = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.every(Boolean);
}

/** Whether the certificate can no longer be used: the node needs a fresh token. */
export async function isKubeletCertificateExpired(paths: Paths, nowMs: number): Promise<boolean> {
  const { X509Certificate } = await import('node:crypto');
  try {
    const { validTo } = new X509Certificate(await readFile(kubeletClientCertificate(paths)));
    return Date.parse(validTo) <= nowMs;
  } catch {
    // Damaged, as after a power cut: worth no more than an expired one.
    return true;
  }
}

/**
 * Hands the token to the kubelet for its one request, and takes away what an earlier membership left: with an old
 * certificate there it would not ask.
 */
export async function prepareBootstrap(
  paths: Paths,
  options: { readonly token: JoinToken; readonly apiPort: number },
): Promise<void> {
  await rm(`${paths.kubeletDir}/pki`, { recursive: true, force: true });
  await rm(kubeconfigPath(paths, 'kubelet'), { force: true });
  const content = renderKubeconfig({
    server: `https://127.0.0.1:${options.apiPort}`,
    caFile: pkiFiles(paths).ca.certFile,
    token: `${options.token.id}.${options.token.secret}`,
    userName: 'kubelet-bootstrap',
  });
  await writeFileAtomic(bootstrapKubeconfigPath(paths), content, { mode: 0o600 });
}

/** The token of a join that was not completed: `id.secret`. */
export async function readKeptToken(paths: Paths): Promise<string | undefined> {
  const text = (await readTextIfExists(bootstrapKubeconfigPath(paths))) ?? '';
  return /^\s+token: "([a-z0-9]{6}\.[a-z0-9]{16})"$/m.exec(text)?.[1];
}

/** The token is not needed any more, and not kept. */
export async function forgetToken(paths: Paths): Promise<void> {
  await rm(bootstrapKubeconfigPath(paths), { force: true });
}
