import { kubeProxyMode } from '../components/kube-proxy.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { ports } from '../components/layout.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { PortUse } from '../doctor/ports.ts';
import type { Machine } from '../doctor/types.ts';
import type { PreparedNode } from './prepare.ts';

/** What probes need to know of a node. Pure. */
export function machineOf({ config, host, paths, plan }: Omit<PreparedNode, 'replan'>): Machine {
  const { processes, runsWorkloads, hostSettings, pki } = plan;
  const isPlanned = (name: string) => processes.some((process) => process.name === name);
  const hasControlPlane = isPlanned('etcd');
  return {
    config,
    host,
    paths,
    hasControlPlane,
    runsWorkloads,
    ports: hasControlPlane ? portUses(config, runsWorkloads) : workerPortUses(config),
    ...(isPlanned('kube-proxy') ? { serviceMode: kubeProxyMode({ config, host }) } : {}),
    hostSettings,
    authorities: pki.authorities,
    certificates: hasControlPlane
      ? pki.certificates
      : [...pki.certificates, { name: 'kubelet', certFile: kubeletClientCertificate(paths) }],
  };
}

/** Every port of the control plane and of the node. With a CNI that does kube-proxy's work, that one may have its ports. */
export function portUses(config: ClusterConfig, runsWorkloads: boolean): PortUse[] {
  const { api, storage } = config.spec;
  const controlPlane: PortUse[] = [
    { port: api.port, component: 'kube-apiserver', field: 'spec.api.port' },
    {
      port: api.gatewayPort,
      component: 'the gateway for workers',
      field: 'spec.api.gatewayPort',
      isOptional: true,
    },
    { port: storage.etcd.clientPort, component: 'etcd', field: 'spec.storage.etcd.clientPort' },
    { port: storage.etcd.peerPort, component: 'etcd', field: 'spec.storage.etcd.peerPort' },
    { port: ports.etcdMetrics, component: 'etcd' },
    { port: ports.controllerManager, component: 'kube-controller-manager' },
    { port: ports.scheduler, component: 'kube-scheduler' },
  ];
  return [...controlPlane, ...(runsWorkloads ? nodePortUses(config) : [])];
}

/** The ports of a worker: those of the node, and the API's on loopback. */
function workerPortUses(config: ClusterConfig): PortUse[] {
  const { port } = config.spec.api;
  return [{ port, component: 'the local API endpoint' }, ...nodePortUses(config)];
}

function nodePortUses({ spec }: ClusterConfig): PortUse[] {
  return [
    { port: ports.kubelet, component: 'kubelet' },
    { port: ports.kubeletHealthz, component: 'kubelet' },
    ...(spec.network.kubeProxy.enabled
      ? [
          { port: ports.kubeProxyHealthz, component: 'kube-proxy' },
          { port: ports.kubeProxyMetrics, component: 'kube-proxy' },
        ]
      : []),
  ];
}
