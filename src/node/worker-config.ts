import { UserError } from '../base/errors.ts';
import {
  type ConfigLayer,
  isAtOrBelow,
  layerFrom,
  mergeLayers,
  originOf,
} from '../config/layers.ts';
import { type InspectedConfig, inspectLayers } from '../config/parse.ts';
import type { JoinDocument } from '../join/types.ts';
import { type ConfigSourceOptions, readConfigLayers } from './config-sources.ts';
import type { StoredMembership } from './membership.ts';
import { type OwnSettings, ownConfig } from './own-settings.ts';

/** What a worker may say about itself; everything else is its cluster's. */
const ownFields: readonly string[] = [
  ...['apiVersion', 'kind', 'spec.node', 'spec.kubelet', 'spec.registries', 'spec.proxy'],
  ...['spec.artifacts', 'spec.tuning'],
  ...['spec.extraArgs.kubelet', 'spec.extraArgs.kube-proxy', 'spec.extraArgs.containerd'],
];

export interface WorkerConfigOptions {
  readonly document: Pick<JoinDocument, 'config'>;
  readonly nodeName: string;
  readonly settings: OwnSettings;
  /** Those of this machine. */
  readonly layers: readonly ConfigLayer[];
}

/** The cluster's configuration with what this machine says about itself on top. */
export async function inspectWorkerConfig(options: WorkerConfigOptions): Promise<InspectedConfig> {
  const { document, nodeName, settings, layers } = options;
  const cluster = layerFrom(document.config as Readonly<Record<string, unknown>>, 'of the cluster');
  const flags = layerFrom({ spec: { node: nodeOf(settings) } }, 'of the command line');
  const name = layerFrom({ spec: { node: { name: nodeName } } }, 'of the join');
  const inspected = await inspectLayers([cluster, ...layers, flags, name], 'of the cluster');
  return { ...inspected, errors: [...inspected.errors, ...foreignFields(cluster, layers)] };
}

/** The configuration of a machine that has joined. */
export async function inspectMember(
  { nodeName, document }: StoredMembership,
  options: ConfigSourceOptions,
  settings: OwnSettings = {},
): Promise<InspectedConfig> {
  const layers = await readConfigLayers(options);
  return inspectWorkerConfig({ document, nodeName, settings, layers });
}

/** What the flags say about the node; one that says nothing leaves what the files say. */
function nodeOf(settings: OwnSettings): Readonly<Record<string, unknown>> {
  const { labels, taints } = ownConfig(settings);
  return {
    ...(settings.labels === undefined ? {} : { labels }),
    ...(settings.taints === undefined ? {} : { taints }),
  };
}

/** Said here and differently by the cluster: one of both would be believed in vain. */
function foreignFields(cluster: ConfigLayer, layers: readonly ConfigLayer[]): UserError[] {
  const local = mergeLayers(layers);
  const said = leavesOf(cluster.document);
  return [...leavesOf(local.document)]
    .filter(([path]) => !ownFields.some((field) => isAtOrBelow(path, field)))
    .filter(([path, value]) => said.get(path) !== value)
    .map(([path]) => {
      const place = originOf(local.origins, path) ?? 'of this machine';
      return new UserError({
        what: `use configuration ${place}`,
        why: `${path}: is the cluster's, and a worker has it from there`,
        fix: 'set it on the controllers, and take it out here',
      });
    });
}

/** Every value that is no mapping, as JSON, by its path. */
function leavesOf(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return new Map([[path, JSON.stringify(value)]]);
  }
  const prefix = path === '' ? '' : `${path}.`;
  return new Map(
    Object.entries(value).flatMap(([key, child]) => [...leavesOf(child, `${prefix}${key}`)]),
  );
}
