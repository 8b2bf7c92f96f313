import { authorityTtlDays, pkiFiles } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** The three authorities, kept apart so that a client of one is nobody to the others, and the service-account key. */
export function planAuthorities(context: PlanContext): ComponentPlan {
  const files = pkiFiles(context.paths);
  const ttlDays = authorityTtlDays;
  return {
    authorities: [
      { name: 'ca', commonName: 'mini-k8s-ca', ...files.ca, ttlDays },
      {
        name: 'front-proxy-ca',
        commonName: 'mini-k8s-front-proxy-ca',
        ...files.frontProxyCa,
        ttlDays,
      },
      { name: 'etcd-ca', commonName: 'mini-k8s-etcd-ca', ...files.etcdCa, ttlDays },
    ],
    keyPairs: [{ name: 'service-account', ...files.serviceAccount }],
  };
}
