import type { UserError } from '../base/errors.ts';

/** One source of configuration: what it says, and where each part of that stands. */
export interface ConfigLayer {
  readonly document: Readonly<Record<string, unknown>>;
  /** By field, `spec.api.port`: `/etc/mini-k8s/config.yaml:4`, `MINI_K8S_API_PORT`, `--set`. */
  readonly origins: ReadonlyMap<string, string>;
  /** What could not be read as configuration at all. */
  readonly errors: readonly UserError[];
  /** Nobody knows what it would have said: the document is empty. */
  readonly isUnreadable?: boolean;
}

/** What all sources say together. */
export type MergedConfig = ConfigLayer;

/**
 * Lays one source over the other, the last on top: mappings are merged key by key, everything else is replaced as a
 * whole, and `null` gives a field its default back. Pure.
 */
export function mergeLayers(layers: readonly ConfigLayer[]): MergedConfig {
  const origins = new Map<string, string>();
  let document: Record<string, unknown> = {};
  for (const layer of layers) {
    document = mergeMapping(document, layer.document, { path: '', layer, origins });
  }
  const isUnreadable = layers.some((layer) => layer.isUnreadable === true);
  return { document, origins, errors: layers.flatMap(({ errors }) => errors), isUnreadable };
}

/** Where a field's value stands, or the nearest part of the document around it; undefined for one that nobody set. */
export function originOf(origins: ReadonlyMap<string, string>, path: string): string | undefined {
  for (let field = path; field !== ''; field = parentOf(field)) {
    const origin = origins.get(field);
    if (origin !== undefined) return origin;
  }
  return undefined;
}

/** A layer that stands at one place as a whole. Pure. */
export function layerFrom(
  document: Readonly<Record<string, unknown>>,
  origin: string,
): ConfigLayer {
  const origins = new Map<string, string>();
  const visit = (value: unknown, path: string) => {
    if (path !== '') origins.set(path, origin);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) visit(child, join(path, key));
  };
  visit(document, '');
  return { document, origins, errors: [] };
}

/** A path as messages have it. */
export function renderPath(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Place {
  readonly path: string;
  readonly layer: ConfigLayer;
  readonly origins: Map<string, string>;
}

function mergeMapping(
  below: Readonly<Record<string, unknown>>,
  above: Readonly<Record<string, unknown>>,
  place: Place,
): Record<string, unknown> {
  const merged = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const path = join(place.path, key);
    const known = merged.get(key);
    if (value === null || value === undefined) {
      forget(place.origins, path);
      merged.delete(key);
    } else if (isMapping(value) && (known === undefined || isMapping(known))) {
      takeOrigin({ ...place, path });
      merged.set(key, mergeMapping(known ?? {}, value, { ...place, path }));
    } else {
      forget(place.origins, path);
      takeOrigins({ ...place, path });
      merged.set(key, value);
    }
  }
  return Object.fromEntries(merged);
}

function takeOrigin({ path, layer, origins }: Place): void {
  const origin = layer.origins.get(path);
  if (origin !== undefined) origins.set(path, origin);
}

function takeOrigins({ path, layer, origins }: Place): void {
  for (const [field, origin] of layer.origins) {
    if (isAtOrBelow(field, path)) origins.set(field, origin);
  }
}

function forget(origins: Map<string, string>, path: string): void {
  for (const field of [...origins.keys()]) if (isAtOrBelow(field, path)) origins.delete(field);
}

/** Whether a field is another one or a part of it. */
export function isAtOrBelow(field: string, path: string): boolean {
  return field === path || field.startsWith(`${path}.`);
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}
