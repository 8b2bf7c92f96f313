import type { UpstreamFile } from '../../src/artifacts/catalog.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { UserError } from '../../src/base/errors.ts';
import { findSha256 } from './checksum-file.ts';
import { type Bases, cannot, fetchText } from './fetch-text.ts';
import { readImageDigest } from './image-digest.ts';

/** The content of assets/artifacts.json. */
export interface Pins {
  readonly components: Readonly<Record<string, PinnedComponent>>;
  readonly images: Readonly<Record<string, PinnedImage>>;
}

interface PinnedComponent {
  readonly version: string;
  readonly files: readonly UpstreamFile[];
}

interface PinnedImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest?: string;
}

export interface RefreshOptions {
  /** New versions by component, and new tags by image. */
  readonly versions: ReadonlyMap<string, string>;
  readonly bases: Bases;
  /** Take another sha256 for the same version: a release that was replaced after the fact. */
  readonly acceptsChanged: boolean;
  readonly onRead: (line: string) => void;
}

const architectures: readonly Architecture[] = ['amd64', 'arm64'];

/**
 * The pins as upstream's checksum files and registries say them now.
 * @throws UserError for a name that is none, a checksum that cannot be had, or one that changed without its version.
 */
export async function refreshPins(pins: Pins, options: RefreshOptions): Promise<Pins> {
  const names = [...Object.keys(pins.components), ...Object.keys(pins.images)];
  for (const name of options.versions.keys()) {
    if (!names.includes(name)) throw unknownName(name, names);
  }
  const components: Record<string, PinnedComponent> = {};
  for (const [name, component] of Object.entries(pins.components)) {
    components[name] = await refreshComponent(name, component, options);
  }
  const images: Record<string, PinnedImage> = {};
  for (const [name, image] of Object.entries(pins.images)) {
    images[name] = await refreshImage(name, image, options);
  }
  return { components, images };
}

async function refreshComponent(
  name: string,
  component: PinnedComponent,
  options: RefreshOptions,
): Promise<PinnedComponent> {
  const version = options.versions.get(name) ?? component.version;
  const files: UpstreamFile[] = [];
  for (const file of component.files) {
    const sha256: Record<Architecture, string> = { amd64: '', arm64: '' };
    for (const arch of architectures) {
      const found = await readSha256(file, { version, arch }, options.bases);
      const isSame = found === file.sha256[arch];
      const members = file.members.map((member) => member.name).join(', ');
      if (!isSame && version === component.version && !options.acceptsChanged) {
        throw changed(`${members} of ${name} ${version} (${arch})`, file.sha256[arch], found);
      }
      options.onRead(
        `${isSame ? 'same' : 'new '} ${found} ${name} ${version} (${arch}) ${members}`,
      );
      sha256[arch] = found;
    }
    files.push({ ...file, sha256 });
  }
  return { version, files };
}

async function readSha256(
  file: UpstreamFile,
  release: { readonly version: string; readonly arch: Architecture },
  bases: Bases,
): Promise<string> {
  const fill = (template: string) =>
    template.replaceAll('{version}', release.version).replaceAll('{arch}', release.arch);
  const address = fill(file.checksums ?? `${file.url}.sha256`);
  const name = fill(file.url).split('/').at(-1) ?? '';
  const sum = findSha256(await fetchText(address, bases), name);
  if (sum === undefined) throw cannot(address, `it does not say the sha256 of ${name} once`);
  return sum;
}

async function refreshImage(
  name: string,
  image: PinnedImage,
  options: RefreshOptions,
): Promise<PinnedImage> {
  const tag = options.versions.get(name) ?? image.tag;
  const reference = `${image.repository}:${tag}`;
  const digest = await readImageDigest(reference, options.bases);
  const isSame = digest === image.digest;
  if (!isSame && image.digest !== undefined && tag === image.tag && !options.acceptsChanged) {
    throw changed(reference, image.digest, digest);
  }
  options.onRead(`${isSame ? 'same' : 'new '} ${digest} ${reference}`);
  return { repository: image.repository, tag, digest };
}

function changed(subject: string, before: string, after: string): UserError {
  return new UserError({
    what: `take the checksum of ${subject}`,
    why: `it was ${before} and is ${after}, though the version is the same`,
    fix: 'find out why the release was replaced; then add --accept-changed',
  });
}

function unknownName(name: string, names: readonly string[]): UserError {
  return new UserError({
    what: `set the version of ${name}`,
    why: 'there is no such component or image',
    fix: `give one of ${names.join(', ')}`,
  });
}
