import { UserError } from '../base/errors.ts';
import { pinnedExecutableDigest, pinnedImageDigest } from './catalog.ts';
import { annotations } from './media-types.ts';
import { describeContent, entryContent, isArchitecture } from './oci-documents.ts';
import type { Architecture, Descriptor } from './types.ts';

/** Digests that are known to be upstream's; undefined for what is not known. */
export interface Pins {
  executable(name: string, member: string, arch: Architecture): string | undefined;
  image(reference: string): string | undefined;
}

/** The pins of assets/artifacts.json. */
export const catalogPins: Pins = { executable: pinnedExecutableDigest, image: pinnedImageDigest };

/** One index entry with the executables of it that would be imported (none for an image). */
export interface TrustSubject {
  readonly entry: Descriptor;
  readonly executables: ReadonlyMap<string, Descriptor>;
}

/** Why an entry's content is not known to be upstream's; undefined when every digest equals its pin. */
export function findUnpinned(subject: TrustSubject, pins: Pins): string | undefined {
  const content = entryContent(subject.entry);
  switch (content.kind) {
    case 'image':
      if (pins.image(content.reference) === subject.entry.digest) return undefined;
      return `${describeContent(content)} has ${subject.entry.digest}, which is not a pinned digest`;
    case 'component':
      for (const [member, layer] of subject.executables) {
        const pin = isArchitecture(content.arch)
          ? pins.executable(content.name, member, content.arch)
          : undefined;
        if (pin === layer.digest) continue;
        const difference = pin === undefined ? 'no digest is pinned for it' : `the pin is ${pin}`;
        return `${member} of ${describeContent(content)} has ${layer.digest}, ${difference}`;
      }
      return undefined;
    case 'manifests':
      return `it has ${describeContent(content)}, which no release of mini-k8s has`;
    case 'other':
      return undefined;
  }
}

/** Whether the bundle itself says that it was compiled from source: then no pin of a release can match. */
export function saysBuiltFromSource(entry: Descriptor): boolean {
  return entry.annotations?.[annotations.builtFrom] === 'source';
}

/** The error about a bundle that is neither upstream's nor named by `--trust-bundle`. */
export function untrusted(options: {
  readonly origin: string;
  readonly indexSha256: string;
  readonly trustBundle: string | undefined;
  readonly why: string;
}): UserError {
  const { origin, indexSha256, trustBundle, why } = options;
  const given =
    trustBundle === undefined ? '' : `; --trust-bundle names another bundle, ${trustBundle}`;
  return new UserError({
    what: `import ${origin}`,
    why: `it is not trusted: ${why}${given}; the sha256 of its index.json is ${indexSha256}`,
    fix: `if you know where it comes from, add --trust-bundle ${indexSha256}`,
  });
}
