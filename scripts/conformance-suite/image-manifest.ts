import { copyFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { throwCollected, UserError } from '../../src/base/errors.ts';
import { createEntry, entryDirectory, hasEntry } from '../components/component-cache.ts';
import { shortHash } from '../components/recipe-hash.ts';
import { upstreamDirectory } from './build-program.ts';
import type { SuiteContext } from './suite-context.ts';
import { otherImages, pauseImage, suiteImages, type UpstreamImage } from './suite-images.ts';
import { suiteModules } from './suite-programs.ts';

const { module, version } = suiteModules.e2e;
/** Where upstream says which images its tests ask for. */
const manifest = 'test/utils/image/manifest.go';

/**
 * Holds the images that are made here against those that the tests of this Kubernetes version ask for, before anything
 * is built: a test that waits for an image that nobody has would say so after minutes, and not why.
 * @throws UserErrors that name each image with both versions.
 */
export async function requireUpstreamImages(context: SuiteContext): Promise<void> {
  const { cache } = context;
  const key = { name: 'conformance-image-manifest', hash: shortHash({ module, version }) };
  if (!hasEntry(cache, key)) {
    await createEntry(cache, key, async (directory) => {
      const source = path.join(await upstreamDirectory(context), manifest);
      await copyFile(source, path.join(directory, path.basename(manifest)));
      return { module, version };
    });
  }
  const file = path.join(entryDirectory(cache, key), path.basename(manifest));
  const upstream = parseImageManifest(await readFile(file, 'utf8'));
  throwCollected(findImageConflicts([...suiteImages, pauseImage], upstream));
}

/** References of images by the names that upstream's code has for them: `Agnhost` → `registry…/agnhost:2.66.1`. */
export function parseImageManifest(text: string): ReadonlyMap<string, string> {
  const registries = new Map(
    [...text.matchAll(/^\s*(\w+):\s+"([^"]+)",$/gm)].map(([, name = '', host = '']) => [
      name,
      host,
    ]),
  );
  const entries = [...text.matchAll(/^\s*configs\[([A-Z]\w*)\] = (.*)$/gm)];
  const images = new Map<string, string>();
  for (const [line, name = '', value = ''] of entries) {
    const [, list = '', repository, tag] =
      /^Config\{list\.(\w+), "([^"]+)", "([^"]+)"\}$/.exec(value) ?? [];
    const registry = registries.get(list);
    if (registry === undefined) throw unreadable(`it has: ${line.trim()}`);
    images.set(name, `${registry}/${repository}:${tag}`);
  }
  if (images.size === 0) throw unreadable('no image is in it');
  return images;
}

function unreadable(why: string): UserError {
  return new UserError({
    what: `read ${manifest} of ${module} ${version}`,
    why,
    fix: 'teach scripts/conformance-suite/image-manifest.ts what it looks like now',
  });
}

/** Images that upstream's tests ask for in another version, or that nobody decided about. */
export function findImageConflicts(
  images: readonly UpstreamImage[],
  upstream: ReadonlyMap<string, string>,
): readonly UserError[] {
  const differing = images.flatMap(({ upstreamName, reference }) => {
    const wanted = upstream.get(upstreamName);
    return wanted === reference ? [] : [conflict(upstreamName, reference, wanted)];
  });
  const known = new Set([...images.map(({ upstreamName }) => upstreamName), ...otherImages]);
  const unknown = [...upstream]
    .filter(([name]) => !known.has(name))
    .map(([name, reference]) => undecided(name, reference));
  return [...differing, ...unknown];
}

function conflict(name: string, made: string, wanted: string | undefined): UserError {
  return new UserError({
    what: `make the test image ${name}`,
    why: `it would be ${made}, but the tests of Kubernetes ${version} ask for ${wanted ?? 'none of this name'}`,
    fix:
      name === pauseImage.upstreamName
        ? 'let assets/artifacts.json pin the same version'
        : 'give it that version in scripts/conformance-suite/suite-images.ts, with what test/images of Kubernetes changed in it',
  });
}

function undecided(name: string, reference: string): UserError {
  return new UserError({
    what: 'make the test images',
    why: `Kubernetes ${version} has one that is not known here: ${name}, ${reference}`,
    fix: 'make it in scripts/conformance-suite/suite-images.ts if a conformance test uses it, else add it to otherImages there',
  });
}
