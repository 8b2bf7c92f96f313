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
  /** Recorded facts: host settings, imported images, trust decisions. */
  readonly stateDir: string;
  /** Files that are rendered from the plan: component configurations and kubeconfigs. */
  readonly etcDir: string;
  readonly auditDir: string;
  readonly runDir: string;
  readonly logDir: string;
  readonly lockSocket: string;
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

/** The paths of a node; run files stay in `/run/mini-k8s` whatever the data directory is. */
export function pathsFor(options: PathOptions = {}): Paths {
  const dataDir = options.dataDir ?? defaultDataDir;
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
    stateDir: `${dataDir}/state`,
    etcDir: `${dataDir}/etc`,
    auditDir: `${dataDir}/audit`,
    runDir,
    logDir: `${runDir}/log`,
    lockSocket: `${runDir}/lock`,
    statusSocket: `${runDir}/status.sock`,
    tunnelSocket: `${runDir}/tunnel.sock`,
    containerdSocket: `${runDir}/containerd/containerd.sock`,
    kubeletDir: '/var/lib/kubelet',
    cniBinDir: '/opt/cni/bin',
    cniConfDir: '/etc/cni/net.d',
  };
}
