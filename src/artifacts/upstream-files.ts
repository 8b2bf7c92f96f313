import type { UpstreamComponent, UpstreamFile } from './catalog.ts';
import type { Architecture, ArtifactSpec } from './types.ts';

/** What upstream publishes, by component; `upstreamComponent` of the catalog. */
export type UpstreamCatalog = (name: string) => UpstreamComponent | undefined;

/** A component as something is wanted of it. */
export interface WantedComponent {
  readonly name: string;
  readonly version: string;
  readonly arch: Architecture;
  readonly files: readonly WantedFile[];
}

/** One file of upstream, and the executables that are wanted of it. */
export interface WantedFile {
  /** Where upstream has it: `https://dl.k8s.io/v1.37.1/bin/linux/amd64/kubelet`. */
  readonly url: string;
  /** `sha256:…` of the file as it is downloaded. */
  readonly digest: string;
  readonly isArchive: boolean;
  readonly members: readonly WantedMember[];
  /** `kubelet of kubernetes 1.37.1 (amd64)`. */
  readonly description: string;
}

interface WantedMember {
  readonly name: string;
  /** Inside the archive; the name where it is none. */
  readonly path: string;
  /** `sha256:…`, where it is pinned. */
  readonly digest?: string;
}

/** Which files of upstream hold the wanted executables. What upstream does not have in that version is left out. Pure. */
export function planUpstreamFiles(
  artifacts: readonly ArtifactSpec[],
  catalog: UpstreamCatalog,
): readonly WantedComponent[] {
  const components = new Map<string, WantedComponent>();
  for (const artifact of artifacts) {
    const upstream = artifact.kind === 'executable' ? catalog(artifact.name) : undefined;
    if (artifact.kind !== 'executable' || upstream?.version !== artifact.version) continue;
    const { name, version, arch } = artifact;
    const key = `${name} ${arch}`;
    // The plans of two roles may want different executables of one component.
    const names = new Set([
      ...(components.get(key)?.files ?? []).flatMap(({ members }) => members.map((it) => it.name)),
      ...artifact.members.map((member) => member.name),
    ]);
    const files = upstream.files
      .map((file) => wantFile(file, { name, version, arch }, names))
      .filter(({ members }) => members.length > 0);
    components.set(key, { name, version, arch, files });
  }
  return [...components.values()].filter(({ files }) => files.length > 0);
}

/** Where a mirror has a file: upstream's path below the mirror's base. Pure. */
export function mirroredUrl(url: string, mirror: string): string {
  const { pathname } = new URL(url);
  return `${mirror.replace(/\/+$/, '')}${pathname}`;
}

function wantFile(
  file: UpstreamFile,
  component: Omit<WantedComponent, 'files'>,
  names: ReadonlySet<string>,
): WantedFile {
  const { name, version, arch } = component;
  const isArchive = file.archive !== undefined;
  const members = file.members
    .filter((member) => names.has(member.name))
    .map((member) => {
      const sha256 = isArchive ? member.sha256?.[arch] : file.sha256[arch];
      return {
        name: member.name,
        path: fill(member.path ?? member.name, component),
        ...(sha256 === undefined ? {} : { digest: `sha256:${sha256}` }),
      };
    });
  return {
    url: fill(file.url, component),
    digest: `sha256:${file.sha256[arch]}`,
    isArchive,
    members,
    description: `${members.map((member) => member.name).join(', ')} of ${name} ${version} (${arch})`,
  };
}

function fill(template: string, { version, arch }: Omit<WantedComponent, 'files'>): string {
  return template.replaceAll('{version}', version).replaceAll('{arch}', arch);
}
