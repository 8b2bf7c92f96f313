import { type Cidr, nthAddress, parseCidr } from '../base/ip.ts';
import type { PlanContext } from '../components/types.ts';
import { apiRedirectRules } from '../host/api-redirect.ts';
import { podEgressSettings } from '../host/pod-egress.ts';
import type { HostSetting } from '../host/types.ts';
import { podBridgeName } from '../reconcilers/pod-bridge.ts';

/**
 * What kubelet sets by itself when it starts, without remembering what was there: set here first, so that it is recorded
 * and `reset` puts it back.
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/ (--protect-kernel-defaults)
 */
const kubeletSysctls: readonly HostSetting[] = [
  { type: 'sysctl', key: 'vm.overcommit_memory', value: '1', isOptional: true },
  { type: 'sysctl', key: 'vm.panic_on_oom', value: '0', isOptional: true },
  { type: 'sysctl', key: 'kernel.panic', value: '10', isOptional: true },
  { type: 'sysctl', key: 'kernel.panic_on_oops', value: '1', isOptional: true },
  { type: 'sysctl', key: 'kernel.keys.root_maxkeys', value: '1000000', isOptional: true },
  { type: 'sysctl', key: 'kernel.keys.root_maxbytes', value: '25000000', isOptional: true },
];

/** kube-proxy and kube-router leave forwarding to the machine's owner: that is us (design §11.12). */
export function planHostSettings(context: PlanContext): HostSetting[] {
  if (!context.runsWorkloads) return [];
  const { network } = context.config.spec;
  return [
    { type: 'module', name: 'overlay' },
    { type: 'module', name: 'br_netfilter' },
    { type: 'module', name: 'nf_conntrack' },
    { type: 'sysctl', key: 'net.ipv4.ip_forward', value: '1' },
    { type: 'sysctl', key: 'net.ipv4.conf.all.forwarding', value: '1' },
    { type: 'sysctl', key: 'net.bridge.bridge-nf-call-iptables', value: '1', isOptional: true },
    ...kubeletSysctls,
    { type: 'shared-mount', path: '/' },
    {
      type: 'link',
      // cAdvisor in kubelet looks for containerd only here.
      path: '/run/containerd/containerd.sock',
      target: context.paths.containerdSocket,
    },
    ...(network.provider === 'kube-router' ? podEgressSettings(network) : []),
  ];
}

/** Pods reach the API wherever the controllers are: through this node's balancer. */
export function planApiRedirect(context: PlanContext): HostSetting {
  return apiRedirectRules({
    serviceAddress: nthAddress(serviceNetwork(context), 1),
    servicePort: 443,
    apiPort: context.config.spec.api.port,
    ...(context.config.spec.network.provider === 'kube-router'
      ? { podInterface: podBridgeName }
      : {}),
  });
}

/** The network of the Services; the configuration was validated. */
export function serviceNetwork(context: PlanContext): Cidr {
  const services = parseCidr(context.config.spec.network.serviceCIDR);
  if (services === undefined) throw new Error('the configuration was validated');
  return services;
}
