const certificates = 'mini-k8s makes the certificates, and tells the API server about them';
const probes = 'the API server and the probes of mini-k8s look for it there';

/** Fields of KubeletConfiguration that go together with what mini-k8s does elsewhere, and why. */
export const protectedKubeletFields: Readonly<Record<string, string>> = {
  apiVersion: 'it is the version that this kubelet reads',
  kind: 'it is KubeletConfiguration',
  address: probes,
  authentication: 'only the API server may ask a kubelet, by its certificate',
  authorization: 'the API server says who may ask a kubelet',
  cgroupDriver: 'containerd must have the same, and it follows from the machine',
  clusterDNS: 'set spec.network.serviceCIDR instead: it is the tenth address of the Services',
  clusterDomain:
    'set spec.network.clusterDomain instead, by which the other components know it too',
  containerRuntimeEndpoint: 'containerd listens there',
  enableServer: probes,
  failCgroupV1: 'mini-k8s runs on cgroup v1 too',
  failSwapOn: 'small machines have swap, and are to start with it; see memorySwap',
  healthzBindAddress: probes,
  healthzPort: probes,
  podLogsDir: 'reset looks for the logs of pods in /var/log/pods',
  port: probes,
  readOnlyPort: 'it answers everybody, without credentials',
  registerNode: 'the cluster knows the node by it',
  registerWithTaints: 'set spec.node.taints instead',
  rotateCertificates: certificates,
  serverTLSBootstrap: certificates,
  staticPodPath: 'reset and doctor look for static pods there',
  tlsCertFile: certificates,
  tlsPrivateKeyFile: certificates,
  volumePluginDir: 'kube-controller-manager looks for the same drivers there',
};
