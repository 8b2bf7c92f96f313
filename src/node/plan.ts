import { imageArtifact } from '../artifacts/catalog.ts';
import type { ArtifactSpec, ExecutableArtifact, ImageArtifact } from '../artifacts/types.ts';
import type { FileSpec } from '../base/files.ts';
import { nthAddress } from '../base/ip.ts';
import { withExtraArgs } from '../components/extra-args.ts';
import { controllerComponents, nodeComponents, workerComponents } from '../components/index.ts';
import { ports } from '../components/layout.ts';
import type { ComponentPlan, DirectorySpec, Membership, PlanContext } from '../components/types.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { nodeAddressOf } from '../config/node-address.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig, ExtraArgsComponent } from '../config/types.ts';
import type { ProcessSpec } from '../supervisor/types.ts';
import { planApiRedirect, planHostSettings, serviceNetwork } from './plan-host.ts';
import { planDns, planStackSecrets, planStacks } from './plan-stacks.ts';
import type { NodePlan, NodeRole } from './plan-types.ts';

export interface PlanOptions {
  readonly config: ClusterConfig;
  readonly host: HostFacts;
  readonly paths: Paths;
  readonly runsWorkloads: boolean;
}

/** The plan of a controller. Pure: equal options give an equal plan. */
export function planController(options: PlanOptions): NodePlan {
  const context: PlanContext = { ...planContext(options), apiComponent: 'kube-apiserver' };
  const parts = controllerComponents
    .filter((component) => component.isPlanned(context))
    .map((component) => component.plan(context));
  return {
    role: 'controller',
    ...planParts(context, parts),
    servedArtifacts: planServedArtifacts(context),
    tunnel: { socketPath: context.paths.tunnelSocket, kubeletPort: ports.kubelet },
    gateway: { port: context.config.spec.api.gatewayPort, kubeletPort: ports.kubelet },
    stacks: planStacks(context),
    unpackedStacks: {
      manifestsDir: context.paths.manifestsDir,
      recordFile: `${context.paths.stateDir}/bundled-manifests.json`,
    },
  };
}

export interface WorkerPlanOptions extends Omit<PlanOptions, 'runsWorkloads'> {
  readonly membership: Membership;
  /** `host:port` of the API servers. */
  readonly apiServers: readonly string[];
}

/** The plan of a worker. Pure, and made from what is on the disk: it is the same without a network. */
export function planWorker(options: WorkerPlanOptions): NodePlan {
  const { membership, apiServers } = options;
  const context: PlanContext = {
    ...planContext({ ...options, runsWorkloads: true }),
    apiComponent: 'api-endpoint',
    membership,
  };
  const parts = workerComponents
    .filter((component) => component.isPlanned(context))
    .map((component) => component.plan(context));
  const common = planParts(context, parts);
  return {
    role: 'worker',
    ...common,
    hostSettings: [...common.hostSettings, planApiRedirect(context)],
    worker: {
      apiEndpoint: { port: context.config.spec.api.port, servers: apiServers },
      gateways: membership.gateways,
      kubeletPort: ports.kubelet,
      apiServiceAddress: nthAddress(serviceNetwork(context), 1),
      memberFiles: mergeFiles(parts.flatMap((part) => part.memberFiles ?? [])),
    },
    stacks: [],
  };
}

/** What a node of that role needs, also one that is not a member yet. Pure. */
export function planArtifacts(
  role: NodeRole,
  options: Omit<PlanOptions, 'runsWorkloads'>,
): readonly ArtifactSpec[] {
  const membership = { ca: '', gateways: [], hasCertificate: false };
  const { artifacts, images } =
    role === 'worker'
      ? planWorker({ ...options, membership, apiServers: [] })
      : planController({ ...options, runsWorkloads: true });
  return [...artifacts, ...images];
}

/** What the plans of all nodes have. */
function planParts(context: PlanContext, parts: readonly ComponentPlan[]) {
  return {
    nodeName: context.nodeName,
    nodeAddress: context.nodeAddress,
    runsWorkloads: context.runsWorkloads,
    arch: context.host.arch,
    artifacts: mergeArtifacts(parts.flatMap((part) => part.artifacts ?? [])),
    images: planImages(context),
    hostSettings: planHostSettings(context),
    pki: {
      authorities: parts.flatMap((part) => part.authorities ?? []),
      certificates: parts.flatMap((part) => part.certificates ?? []),
      keyPairs: parts.flatMap((part) => part.keyPairs ?? []),
      secrets: [...parts.flatMap((part) => part.secrets ?? []), ...planStackSecrets(context)],
    },
    directories: planDirectories(context, parts),
    files: mergeFiles([...parts.flatMap((part) => part.files ?? []), ...planDns(context).files]),
    credentials: parts.flatMap((part) => part.credentials ?? []),
    processes: parts.flatMap(({ process }) =>
      process === undefined ? [] : [withUserFlags(process, context.config)],
    ),
    ...(context.runsWorkloads && context.config.spec.network.provider === 'kube-router'
      ? { cniConfigFile: `${context.paths.cniConfDir}/10-kuberouter.conflist` }
      : {}),
  };
}

function withUserFlags(process: ProcessSpec, { spec }: ClusterConfig): ProcessSpec {
  const { extraArgs } = spec;
  const component = Object.keys(extraArgs).find((name) => name === process.name);
  return component === undefined
    ? process
    : withExtraArgs(process, extraArgs[component as ExtraArgsComponent]);
}

/** Merges files of all components. @throws Error when two components want different contents for one path. */
export function mergeFiles(files: readonly FileSpec[]): FileSpec[] {
  const byPath = new Map<string, FileSpec>();
  for (const file of files) {
    const known = byPath.get(file.path);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(file)) {
      throw new Error(`Two components want different contents for ${file.path}`);
    }
    byPath.set(file.path, file);
  }
  return [...byPath.values()];
}

function planContext(options: PlanOptions): Omit<PlanContext, 'apiComponent' | 'membership'> {
  const { config, host } = options;
  const { api, node } = config.spec;
  return {
    config,
    host,
    paths: options.paths,
    nodeName: node.name === '' ? host.hostname.toLowerCase() : node.name,
    // Refused by checkHost where there is none.
    nodeAddress: api.address === '' ? (nodeAddressOf(host) ?? '127.0.0.1') : api.address,
    runsWorkloads: options.runsWorkloads,
  };
}

/** One entry per component, with the executables of everyone who asked. */
function mergeArtifacts(artifacts: readonly ArtifactSpec[]): ArtifactSpec[] {
  const merged = new Map<string, ExecutableArtifact>();
  for (const artifact of artifacts) {
    if (artifact.kind !== 'executable') continue;
    const known = merged.get(artifact.name);
    const members = [...(known?.members ?? []), ...artifact.members];
    const unique = new Map(members.map((member) => [member.path, member]));
    merged.set(artifact.name, { ...artifact, members: [...unique.values()] });
  }
  return [...merged.values()];
}

function planImages(context: PlanContext): ImageArtifact[] {
  if (!context.runsWorkloads) return [];
  const { network, addons: wanted } = context.config.spec;
  const { arch } = context.host;
  return [
    imageArtifact('pause', arch),
    ...(network.provider === 'kube-router' ? [imageArtifact('kube-router', arch)] : []),
    ...(wanted.coredns.enabled ? [imageArtifact('coredns', arch)] : []),
    // One for the whole cluster, and seldom on a worker: pulled from the controllers where it is.
    ...(wanted.metricsServer.enabled && context.membership === undefined
      ? [imageArtifact('metrics-server', arch)]
      : []),
  ];
}

/** Whoever runs workloads has everything of a worker; without them it would have nothing to give. */
function planServedArtifacts(context: PlanContext): ArtifactSpec[] {
  if (context.runsWorkloads) return [];
  const worker: PlanContext = { ...context, runsWorkloads: true };
  const artifacts = nodeComponents
    .filter((component) => component.isPlanned(worker))
    .flatMap((component) => component.plan(worker).artifacts ?? []);
  return [...mergeArtifacts(artifacts), ...planImages(worker)];
}

function planDirectories(context: PlanContext, parts: readonly ComponentPlan[]): DirectorySpec[] {
  const { paths } = context;
  const own = { uid: 0, gid: 0 };
  return [
    // Others may pass through but not list: etcd's user must reach its keys and data.
    { path: paths.dataDir, mode: 0o711, ...own },
    { path: paths.pkiDir, mode: 0o711, ...own },
    { path: paths.etcDir, mode: 0o700, ...own },
    { path: paths.manifestsDir, mode: 0o700, ...own },
    { path: paths.stateDir, mode: 0o700, ...own },
    { path: paths.runDir, mode: 0o711, ...own },
    { path: paths.logDir, mode: 0o700, ...own },
    ...parts.flatMap((part) => part.directories ?? []),
    ...planDns(context).directories,
  ];
}
