import { createHash } from 'node:crypto';
import { parseImageReference } from '../../src/artifacts/image-reference.ts';
import { mediaTypes } from '../../src/artifacts/media-types.ts';
import { type Bases, cannot, fetchFrom } from './fetch-text.ts';

const accept = [
  mediaTypes.index,
  'application/vnd.docker.distribution.manifest.list.v2+json',
  mediaTypes.manifest,
  mediaTypes.dockerManifest,
].join(', ');

/** Docker Hub's registry has another name than its images. */
const registryHosts: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

/** The digest of what a registry has under a reference: of the index over all architectures where there is one. */
export async function readImageDigest(reference: string, bases: Bases): Promise<string> {
  const image = parseImageReference(reference);
  if (image === undefined) throw cannot(reference, 'it is no image reference');
  const host = registryHosts[image.registry] ?? image.registry;
  const address = `https://${host}/v2/${image.repository}/manifests/${image.version}`;
  const first = await fetchFrom(address, bases, { Accept: accept });
  const challenge = first.headers.get('www-authenticate');
  const response =
    first.status === 401 && challenge !== null
      ? await fetchFrom(address, bases, {
          Accept: accept,
          Authorization: `Bearer ${await fetchToken(challenge, bases)}`,
        })
      : first;
  if (!response.ok) throw cannot(address, `it answered with status ${response.status}`);
  const content = Buffer.from(await response.arrayBuffer());
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** @see https://distribution.github.io/distribution/spec/auth/token/ */
async function fetchToken(challenge: string, bases: Bases): Promise<string> {
  const fields = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const realm = fields.get('realm') ?? '';
  if (!URL.canParse(realm)) throw cannot(realm, 'it is no address to get a token from');
  const url = new URL(realm);
  for (const name of ['service', 'scope']) {
    const value = fields.get(name);
    if (value !== undefined) url.searchParams.set(name, value);
  }
  const response = await fetchFrom(url.href, bases, {});
  const body = (await response.json()) as {
    readonly token?: string;
    readonly access_token?: string;
  };
  const token = body.token ?? body.access_token;
  if (token === undefined) throw cannot(url.origin, 'it gave no token');
  return token;
}
