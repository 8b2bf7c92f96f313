import { executableArtifact, imageReference } from '../artifacts/catalog.ts';
import type { FileSpec } from '../base/files.ts';
import { registriesDir } from './containerd-registries.ts';
import { goEnvironment, privateFile, stopTimeouts } from './layout.ts';
import { proxyEnvironment } from './proxy-environment.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * containerd with runc and the CNI plugins.
 * @see https://github.com/containerd/containerd/blob/main/docs/cri/config.md
 */
export function planContainerd(context: PlanContext): ComponentPlan {
  const { paths, host } = context;
  const config = containerdConfig(context);
  return {
    artifacts: [
      executableArtifact('containerd', { arch: host.arch, directory: paths.binDir }),
      executableArtifact('runc', { arch: host.arch, directory: paths.binDir }),
      executableArtifact('cni-plugins', { arch: host.arch, directory: paths.cniBinDir }),
    ],
    directories: [
      { path: paths.containerdDir, mode: 0o711, uid: 0, gid: 0 },
      { path: `${paths.runDir}/containerd`, mode: 0o711, uid: 0, gid: 0 },
      { path: paths.cniConfDir, mode: 0o755, uid: 0, gid: 0 },
    ],
    files: [config],
    process: {
      name: 'containerd',
      executable: `${paths.binDir}/containerd`,
      args: ['--config', config.path],
      env: { ...goEnvironment(context, 25), ...proxyEnvironment(context.config) },
      dependsOn: [],
      readiness: { type: 'unix', path: paths.containerdSocket },
      startTimeoutMs: 60_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -999 },
    },
  };
}

/** What a small node never uses: other snapshotters, tracing, NRI, image verification, and the metrics of each. */
const unusedPlugins = [
  'io.containerd.differ.v1.erofs',
  'io.containerd.image-verifier.v1.bindir',
  'io.containerd.internal.v1.tracing',
  'io.containerd.nri.v1.nri',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.native',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.tracing.processor.v1.otlp',
];

/** Seconds. It walks every snapshot, for numbers that kubelet takes from the kernel; upstream's 10 is CPU time for nothing. */
const snapshotStatsPeriod = 60;

/**
 * Seconds. Asks every shim, and reads every pod's cgroup, for rates that only `crictl stats` shows: kubelet takes its
 * own from the kernel. Upstream's default is every second.
 * @see https://github.com/containerd/containerd/blob/v2.3.6/internal/cri/server/stats_collector.go
 */
const taskStatsPeriod = 60;

function containerdConfig(context: PlanContext): FileSpec {
  const { paths, host, config } = context;
  const isSmall = config.spec.tuning === 'small';
  const list = (items: readonly string[]) => `[${items.map((item) => `'${item}'`).join(', ')}]`;
  return privateFile(
    `${paths.etcDir}/containerd.toml`,
    `version = 3
root = '${paths.containerdDir}'
state = '${paths.runDir}/containerd/state'
disabled_plugins = ${list(isSmall ? unusedPlugins : [])}

[grpc]
  address = '${paths.containerdSocket}'

[plugins.'io.containerd.internal.v1.opt']
  path = '${paths.containerdDir}/opt'

[plugins.'io.containerd.cri.v1.images']
  discard_unpacked_layers = true
  image_pull_with_sync_fs = true
  max_concurrent_downloads = 2
  stats_collect_period = ${isSmall ? snapshotStatsPeriod : 10}
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${imageReference('pause')}'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '${registriesDir}'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = ${String(!host.allowsNegativeOomScore)}
  stats_collect_period = '${isSmall ? taskStatsPeriod : 1}s'
  stats_retention_period = '${isSmall ? 2 * taskStatsPeriod : 120}s'
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['${paths.cniBinDir}']
  conf_dir = '${paths.cniConfDir}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '${paths.binDir}/runc'
  SystemdCgroup = ${String(usesSystemdCgroups(context))}
`,
  );
}

/** systemd's driver only where systemd is PID 1 on cgroup v2; v1 is always cgroupfs (design §11.9). */
export function usesSystemdCgroups(context: PlanContext): boolean {
  return context.host.isSystemd && context.host.cgroupVersion === 'v2';
}
