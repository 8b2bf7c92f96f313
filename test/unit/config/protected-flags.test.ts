import { describe, expect, it } from 'vitest';
import { componentVersion } from '../../../src/artifacts/catalog.ts';
import { kubeletFields, kubeletFieldsVersion } from '../../../src/config/kubelet-fields.ts';
import { inspectConfig } from '../../../src/config/parse.ts';
import { neededEntries, protectedFlags } from '../../../src/config/protected-flags.ts';
import { protectedKubeletFields } from '../../../src/config/protected-kubelet.ts';
import type { ExtraArgsComponent } from '../../../src/config/types.ts';
import { jsonFile, planFor } from '../../support/plan-inputs.ts';

/** Flags of ours that the user may set otherwise: nothing else goes together with them. */
const tunable: Readonly<Partial<Record<ExtraArgsComponent, readonly string[]>>> = {
  etcd: [
    ...['backend-batch-interval', 'log-level', 'max-snapshots', 'max-wals'],
    ...['quota-backend-bytes', 'snapshot-count'],
  ],
  'kube-apiserver': [
    ...['audit-log-maxage', 'audit-log-maxbackup', 'audit-log-maxsize', 'audit-log-mode'],
    ...['audit-log-path', 'audit-policy-file', 'event-ttl', 'max-mutating-requests-inflight'],
    ...['max-requests-inflight', 'profiling', 'service-account-extend-token-expiration'],
    ...['service-account-issuer', 'shutdown-watch-termination-grace-period'],
    ...['tls-cipher-suites', 'tls-min-version'],
  ],
  'kube-controller-manager': [
    ...['kube-api-burst', 'kube-api-qps', 'node-monitor-period', 'profiling'],
    ...['terminated-pod-gc-threshold', 'tls-min-version'],
  ],
  'kube-scheduler': ['profiling', 'tls-min-version'],
  kubelet: ['housekeeping-interval'],
};

const tunableFields = [
  ...['evictionHard', 'makeIPTablesUtilChains', 'mergeDefaultEvictionSettings', 'podPidsLimit'],
  ...['resolvConf', 'seccompDefault', 'streamingConnectionIdleTimeout', 'tlsCipherSuites'],
  ...['tlsMinVersion', 'containerLogMaxFiles', 'containerLogMaxSize', 'enableDebugFlagsHandler'],
  ...['enableProfilingHandler', 'eventBurst', 'eventRecordQPS', 'imageMaximumGCAge', 'maxPods'],
  ...['nodeStatusUpdateFrequency', 'volumeStatsAggPeriod'],
];

describe('every flag that mini-k8s sets', () => {
  it('is either protected with a reason, or meant to be set otherwise', async () => {
    const { processes } = await planFor({
      spec: '  node: { name: other, labels: { a: b } }',
    });
    for (const { name, args } of processes) {
      const component = name as ExtraArgsComponent;
      const undecided = args
        .map((arg) => /^--([^=]+)/.exec(arg)?.[1])
        .filter((flag) => flag !== undefined)
        .filter(
          (flag) =>
            protectedFlags[component][flag] === undefined &&
            neededEntries[`${name}.${flag}`] === undefined &&
            tunable[component]?.includes(flag) !== true,
        );
      expect(undecided, name).toEqual([]);
    }
  });

  it('is not both', () => {
    for (const [component, flags] of Object.entries(tunable)) {
      const reasons = protectedFlags[component as ExtraArgsComponent];
      expect(flags.filter((flag) => reasons[flag] !== undefined)).toEqual([]);
    }
  });

  it('is known by its name where the kubelet would pass a wrong one over', async () => {
    // The list is of one version: with another one it has to be made again.
    expect(componentVersion('kubernetes')).toMatch(new RegExp(`^${kubeletFieldsVersion}\\.`));
    const plan = await planFor({ spec: "  node: { taints: ['a=b:NoSchedule'] }" });
    const fields = Object.keys(jsonFile(plan, 'kubelet.json') as object);
    const unknown = [...fields, ...Object.keys(protectedKubeletFields), ...tunableFields].filter(
      (field) => !kubeletFields.includes(field),
    );
    expect(unknown).toEqual([]);
    const spec = JSON.stringify({ spec: { kubelet: { maxPod: 1, xyzzy: 1 } } });
    const { errors } = await inspectConfig(spec, 'c');
    expect(errors.map(({ why }) => why)).toEqual([
      'spec.kubelet.maxPod: is no field of KubeletConfiguration in Kubernetes 1.37; did you mean "maxPods"?',
      'spec.kubelet.xyzzy: is no field of KubeletConfiguration in Kubernetes 1.37',
    ]);
  });

  it('holds for the fields of the kubelet too', async () => {
    const plan = await planFor({ spec: "  node: { taints: ['a=b:NoSchedule'] }" });
    const fields = Object.keys(jsonFile(plan, 'kubelet.json') as object);
    const undecided = fields.filter(
      (field) => protectedKubeletFields[field] === undefined && !tunableFields.includes(field),
    );
    expect(undecided).toEqual([]);
  });
});
