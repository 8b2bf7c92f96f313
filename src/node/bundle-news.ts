import { findStore } from '../artifacts/inspect-store.ts';
import { describeContent, entryContent } from '../artifacts/oci-documents.ts';
import { findRiderChanges } from '../artifacts/riders.ts';
import type { Descriptor } from '../artifacts/types.ts';
import type { Paths } from '../config/paths.ts';
import { checkBundle, type GivenBundle } from './given-bundle.ts';
import { machineArch } from './host-facts.ts';

/**
 * What a bundle would change of what rides along on an installed node, as a person reads it: a line each. Components are
 * none of it: those that a node needs it has. Reads only the beginning of the bundle, and changes nothing.
 * @throws UserError as `checkBundle`.
 */
export async function findBundleNews(
  given: GivenBundle,
  { storeDir }: Pick<Paths, 'storeDir'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const arch = machineArch();
  const bundle = await checkBundle(given, signal, { arch });
  const store = bundle === undefined ? undefined : await findStore(storeDir);
  if (bundle === undefined || store === undefined) return [];
  const { arriving, leaving } = await findRiderChanges(store, bundle.index, arch);
  return [
    ...arriving.map((entry) => `+ ${describe(entry)} from the bundle`),
    ...leaving.map((entry) => `- ${describe(entry)}, until mini-k8s artifacts prune`),
  ];
}

function describe(entry: Descriptor): string {
  return describeContent(entryContent(entry));
}
