import { planAuthorities } from './authorities.ts';
import { planClusterCa } from './cluster-ca.ts';
import { planContainerd } from './containerd.ts';
import { planEtcd } from './etcd.ts';
import { planGateway } from './gateway.ts';
import { planKubeApiserver } from './kube-apiserver.ts';
import { planKubeControllerManager } from './kube-controller-manager.ts';
import { planKubeProxy } from './kube-proxy.ts';
import { planKubeScheduler } from './kube-scheduler.ts';
import { planKubelet } from './kubelet.ts';
import { planOperators } from './operators.ts';
import { planRegistries } from './registries.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** One entry of the registry: who is planned, on which nodes. */
interface RegisteredComponent {
  isPlanned(context: PlanContext): boolean;
  plan(context: PlanContext): ComponentPlan;
}

const always = () => true;
const withWorkloads = (context: PlanContext) => context.runsWorkloads;

/** What every node has that runs pods, in reading order. */
export const nodeComponents: readonly RegisteredComponent[] = [
  { isPlanned: withWorkloads, plan: planRegistries },
  { isPlanned: withWorkloads, plan: planContainerd },
  { isPlanned: withWorkloads, plan: planKubelet },
  {
    isPlanned: (context) => context.runsWorkloads && context.config.spec.network.kubeProxy.enabled,
    plan: planKubeProxy,
  },
];

/** Everything that runs on a worker. */
export const workerComponents: readonly RegisteredComponent[] = [
  { isPlanned: always, plan: planClusterCa },
  ...nodeComponents,
];

/** Everything that runs on a controller, in reading order. */
export const controllerComponents: readonly RegisteredComponent[] = [
  { isPlanned: always, plan: planAuthorities },
  { isPlanned: always, plan: planOperators },
  { isPlanned: always, plan: planEtcd },
  { isPlanned: always, plan: planKubeApiserver },
  { isPlanned: always, plan: planKubeControllerManager },
  { isPlanned: always, plan: planKubeScheduler },
  { isPlanned: always, plan: planGateway },
  ...nodeComponents,
];
