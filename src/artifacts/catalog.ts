import artifacts from '../../assets/artifacts.json' with { type: 'json' };
import type { Architecture, ExecutableArtifact, ImageArtifact } from './types.ts';

/** A component with executables, as it is named in assets/artifacts.json and in bundles. */
export type ComponentName = keyof typeof artifacts.components;

/** An image that the addons or the container runtime need. */
export type ImageName = keyof typeof artifacts.images;

/** One file that a project publishes. `{version}` and `{arch}` stand for themselves in `url`, `checksums` and `path`. */
export interface UpstreamFile {
  readonly url: string;
  /** Where the project says the sha256 of it, for scripts/update-artifacts. */
  readonly checksums?: string;
  /** Left out: the file is the executable itself. */
  readonly archive?: string;
  /** Of the file as it is downloaded, in hex. */
  readonly sha256: Readonly<Record<Architecture, string>>;
  readonly members: readonly UpstreamMember[];
}

export interface UpstreamMember {
  readonly name: string;
  /** Inside the archive. */
  readonly path?: string;
  /** Of the executable, in hex; unknown for most members of archives. */
  readonly sha256?: Readonly<Record<Architecture, string>>;
}

/** What upstream publishes of one component. */
export interface UpstreamComponent {
  readonly version: string;
  readonly files: readonly UpstreamFile[];
}

interface Image {
  readonly repository: string;
  readonly tag: string;
  /** Of upstream's index over all architectures; left out until it was seen for exactly this tag. */
  readonly digest?: string;
}

const components: Readonly<Record<ComponentName, UpstreamComponent>> = artifacts.components;
const images: Readonly<Record<ImageName, Image>> = artifacts.images;

export interface ExecutableArtifactOptions {
  readonly arch: Architecture;
  /** Absolute; each executable gets its own name in it. */
  readonly directory: string;
  /** Names of the wanted executables; default: all that the component has. */
  readonly members?: readonly string[];
}

/** The pinned version of a component, without a leading v. */
export function componentVersion(name: ComponentName): string {
  return components[name].version;
}

/** What is pinned of a component; undefined for a name that nothing is pinned for. */
export function upstreamComponent(name: string): UpstreamComponent | undefined {
  return isComponentName(name) ? components[name] : undefined;
}

/** Names of all executables of a component. */
export function componentMembers(name: ComponentName): readonly string[] {
  return components[name].files.flatMap((file) => file.members.map((member) => member.name));
}

/** What a plan says to have a component's executables in a directory. */
export function executableArtifact(
  name: ComponentName,
  options: ExecutableArtifactOptions,
): ExecutableArtifact {
  const members = options.members ?? componentMembers(name);
  return {
    kind: 'executable',
    name,
    version: componentVersion(name),
    arch: options.arch,
    members: members.map((member) => ({ name: member, path: `${options.directory}/${member}` })),
  };
}

/** `registry.k8s.io/pause:3.10.2`: as pods name it, and as containerd stores it. */
export function imageReference(name: ImageName): string {
  return `${images[name].repository}:${images[name].tag}`;
}

/** What a plan says to have an image in containerd. */
export function imageArtifact(name: ImageName, arch: Architecture): ImageArtifact {
  return { kind: 'image', reference: imageReference(name), arch };
}

/**
 * The pinned digest (`sha256:…`) of an executable as its project publishes it; undefined when it is not known,
 * as for members of an archive that is pinned only as a whole, or when there is no such member.
 */
export function pinnedExecutableDigest(
  name: string,
  member: string,
  arch: Architecture,
): string | undefined {
  if (!isComponentName(name)) return undefined;
  for (const file of components[name].files) {
    const found = file.members.find((candidate) => candidate.name === member);
    if (found === undefined) continue;
    const sha256 = file.archive === undefined ? file.sha256[arch] : found.sha256?.[arch];
    return sha256 === undefined ? undefined : `sha256:${sha256}`;
  }
  return undefined;
}

/** The pinned digest (`sha256:…`) of an image's index at its registry, when known. */
export function pinnedImageDigest(reference: string): string | undefined {
  return Object.values(images).find((image) => `${image.repository}:${image.tag}` === reference)
    ?.digest;
}

/** The tag that is used of an image's repository (`registry.k8s.io/pause`); undefined when none is ours. */
export function pinnedImageTag(repository: string): string | undefined {
  return Object.values(images).find((image) => image.repository === repository)?.tag;
}

export function isComponentName(name: string): name is ComponentName {
  return Object.hasOwn(components, name);
}
