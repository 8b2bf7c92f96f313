import { UserError } from '../base/errors.ts';

/** Where everything of a node lives. Pure: no directory is made or read here. */
export interface Paths {
  readonly configFile: string;
  readonly dataDir: string;
  readonly storeDir: string;
  readonly binDir: string;
  readonly pkiDir: string;
  readonly etcdDir: string;
  readonly containerdDir: string;
  readonly manifestsDir: string;
  /** Pods that kubelet starts by itself. */
  readonly staticPodDir: string;
  /** Recorded facts: host settings, imported images, trust decisions. */
  readonly stateDir: string;
  /** Files that are rendered from the plan: component configurations and kubeconfigs. */
  readonly etcDir: string;
  readonly auditDir: string;
  readonly runDir: string;
  readonly logDir: string;
  readonly statusSocket: string;
  readonly tunnelSocket: string;
  readonly containerdSocket: string;
  /** Hard-coded by CSI and CNI manifests. */
  readonly kubeletDir: string;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
}

export interface PathOptions {
  readonly configFile?: string;
  readonly dataDir?: string;
}

export const defaultConfigFile = '/etc/mini-k8s/config.yaml';
export const defaultDataDir = '/var/lib/mini-k8s';

/**
 * The paths of a node; run files stay in `/run/mini-k8s` whatever the data directory is.
 * @throws UserError for a data directory that other programs could not be told.
 */
export function pathsFor(options: PathOptions = {}): Paths {
  const dataDir = options.dataDir ?? defaultDataDir;
  requireUsableDataDir(dataDir);
  const runDir = '/run/mini-k8s';
  return {
    configFile: options.configFile ?? defaultConfigFile,
    dataDir,
    storeDir: `${dataDir}/store`,
    binDir: `${dataDir}/bin`,
    pkiDir: `${dataDir}/pki`,
    etcdDir: `${dataDir}/etcd`,
    containerdDir: `${dataDir}/containerd`,
    manifestsDir: `${dataDir}/manifests`,
    staticPodDir: `${dataDir}/static-pods`,
    stateDir: `${dataDir}/state`,
    etcDir: `${dataDir}/etc`,
    auditDir: `${dataDir}/audit`,
    runDir,
    logDir: `${runDir}/log`,
    statusSocket: `${runDir}/status.sock`,
    tunnelSocket: `${runDir}/tunnel.sock`,
    containerdSocket: `${runDir}/containerd/containerd.sock`,
    kubeletDir: '/var/lib/kubelet',
    cniBinDir: '/opt/cni/bin',
    cniConfDir: '/etc/cni/net.d',
  };
}

/**
 * The path goes into mount options, flags and configuration files of others, where a space, a comma or a colon means
 * something else; and `reset` removes it.
 */
function requireUsableDataDir(dataDir: string): void {
  const isUsable =
    /^(\/[\w.@+-]+)+$/.test(dataDir) && !dataDir.split('/').some((part) => /^\.\.?$/.test(part));
  if (isUsable) return;
  throw new UserError({
    what: `use data directory ${JSON.stringify(dataDir)}`,
    why: 'it must be an absolute path below / of letters, digits and _ . @ + -',
    fix: 'choose another directory with --data-dir',
  });
}
