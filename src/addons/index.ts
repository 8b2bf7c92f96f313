import { coredns } from './coredns.ts';
import { kubeRouter } from './kube-router.ts';
import { metricsServer } from './metrics-server.ts';
import { nodeRbac } from './node-rbac.ts';
import type { Addon } from './types.ts';

/** Every packaged addon, in the order in which they are applied: what others need comes first. */
export const addons: readonly Addon[] = [nodeRbac, kubeRouter, coredns, metricsServer];
