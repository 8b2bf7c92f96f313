import { describe, expect, it } from 'vitest';
import type { NodePlan } from '../../../src/node/plan-types.ts';
import { flagsOf, jsonFile, planFor } from '../../support/plan-inputs.ts';

/** CIS Kubernetes Benchmark 1.12, every scored check that is a flag, a field or a file mode. */
type Check = readonly [id: string, holds: (plan: NodePlan) => boolean];

const flag = (plan: NodePlan, process: string, name: string) => flagsOf(plan, process).get(name);
const has =
  (process: string, ...names: string[]) =>
  (plan: NodePlan) =>
    names.every((name) => (flag(plan, process, name) ?? '') !== '');
const equals = (process: string, name: string, value: string) => (plan: NodePlan) =>
  flag(plan, process, name) === value;
const lacks = (process: string, name: string) => (plan: NodePlan) =>
  flag(plan, process, name) === undefined;
const lists = (process: string, name: string, item: string) => (plan: NodePlan) =>
  (flag(plan, process, name) ?? '').split(',').includes(item);
const atLeast = (process: string, name: string, value: number) => (plan: NodePlan) =>
  Number(flag(plan, process, name)) >= value;

const api = 'kube-apiserver';
const kcm = 'kube-controller-manager';

interface Kubelet {
  authentication: { anonymous: { enabled: boolean }; x509: { clientCAFile: string } };
  authorization: { mode: string };
  makeIPTablesUtilChains: boolean;
  rotateCertificates: boolean;
  readOnlyPort: number;
  podPidsLimit: number;
  seccompDefault: boolean;
  streamingConnectionIdleTimeout: string;
}
const kubelet = (holds: (config: Kubelet) => boolean) => (plan: NodePlan) =>
  holds(jsonFile(plan, 'kubelet.json') as Kubelet);

const checks: readonly Check[] = [
  ['1.1.11', (plan) => plan.directories.some((d) => d.path.endsWith('/etcd') && d.mode === 0o700)],
  ['1.1.12', (plan) => plan.directories.some((d) => d.path.endsWith('/etcd') && d.uid !== 0)],
  [
    '1.1.13-18',
    // Kubeconfigs and configurations; nameservers are read by CoreDNS, which is not root, and no check is about them.
    (plan) =>
      plan.files
        .filter(({ path }) => path !== '/run/mini-k8s/dns/upstream.conf')
        .every((file) => file.mode === 0o600 && file.uid === 0),
  ],
  ['1.2.2', lacks(api, 'token-auth-file')],
  ['1.2.3', lists(api, 'enable-admission-plugins', 'DenyServiceExternalIPs')],
  ['1.2.4', has(api, 'kubelet-client-certificate', 'kubelet-client-key')],
  ['1.2.5', has(api, 'kubelet-certificate-authority')],
  ['1.2.6', (plan) => !lists(api, 'authorization-mode', 'AlwaysAllow')(plan)],
  ['1.2.7', lists(api, 'authorization-mode', 'Node')],
  ['1.2.8', lists(api, 'authorization-mode', 'RBAC')],
  ['1.2.9', lists(api, 'enable-admission-plugins', 'EventRateLimit')],
  ['1.2.10', (plan) => !lists(api, 'enable-admission-plugins', 'AlwaysAdmit')(plan)],
  ['1.2.12-13', lacks(api, 'disable-admission-plugins')],
  ['1.2.14', lists(api, 'enable-admission-plugins', 'NodeRestriction')],
  ['1.2.15', equals(api, 'profiling', 'false')],
  ['1.2.16', has(api, 'audit-log-path')],
  ['1.2.17', atLeast(api, 'audit-log-maxage', 30)],
  ['1.2.18', atLeast(api, 'audit-log-maxbackup', 10)],
  ['1.2.19', atLeast(api, 'audit-log-maxsize', 100)],
  ['1.2.21', lacks(api, 'service-account-lookup')],
  ['1.2.22', has(api, 'service-account-key-file')],
  ['1.2.23', has(api, 'etcd-certfile', 'etcd-keyfile')],
  ['1.2.24', has(api, 'tls-cert-file', 'tls-private-key-file')],
  ['1.2.25', has(api, 'client-ca-file')],
  ['1.2.26', has(api, 'etcd-cafile')],
  ['1.2.27', has(api, 'encryption-provider-config')],
  ['1.2.30', equals(api, 'service-account-extend-token-expiration', 'false')],
  ['1.3.1', has(kcm, 'terminated-pod-gc-threshold')],
  ['1.3.2', equals(kcm, 'profiling', 'false')],
  ['1.3.3', equals(kcm, 'use-service-account-credentials', 'true')],
  ['1.3.4', has(kcm, 'service-account-private-key-file')],
  ['1.3.5', has(kcm, 'root-ca-file')],
  ['1.3.6', lacks(kcm, 'feature-gates')],
  ['1.3.7', equals(kcm, 'bind-address', '127.0.0.1')],
  ['1.4.1', equals('kube-scheduler', 'profiling', 'false')],
  ['1.4.2', equals('kube-scheduler', 'bind-address', '127.0.0.1')],
  ['2.1', has('etcd', 'cert-file', 'key-file')],
  ['2.2', equals('etcd', 'client-cert-auth', 'true')],
  ['2.3', lacks('etcd', 'auto-tls')],
  ['2.4', has('etcd', 'peer-cert-file', 'peer-key-file')],
  ['2.5', equals('etcd', 'peer-client-cert-auth', 'true')],
  ['2.6', lacks('etcd', 'peer-auto-tls')],
  ['2.7', (plan) => flag(plan, 'etcd', 'trusted-ca-file') !== flag(plan, api, 'client-ca-file')],
  ['3.2.1', has(api, 'audit-policy-file')],
  ['4.2.1', kubelet((config) => !config.authentication.anonymous.enabled)],
  ['4.2.2', kubelet((config) => config.authorization.mode === 'Webhook')],
  ['4.2.3', kubelet((config) => config.authentication.x509.clientCAFile !== '')],
  ['4.2.4', kubelet((config) => config.readOnlyPort === 0)],
  ['4.2.5', kubelet((config) => config.streamingConnectionIdleTimeout !== '0s')],
  ['4.2.6', kubelet((config) => config.makeIPTablesUtilChains)],
  ['4.2.7', lacks('kubelet', 'hostname-override')],
  ['4.2.10', kubelet((config) => config.rotateCertificates)],
  ['4.2.13', kubelet((config) => config.podPidsLimit > 0)],
  ['4.2.14', kubelet((config) => config.seccompDefault)],
  [
    '4.3.1',
    (plan) =>
      (
        jsonFile(plan, 'kube-proxy.json') as { metricsBindAddress: string }
      ).metricsBindAddress.startsWith('127.0.0.1:'),
  ],
];

describe('CIS benchmark with hardening: cis', () => {
  it.each(checks)('%s holds', async (_id, holds) => {
    expect(holds(await planFor({ spec: '  hardening: cis' }))).toBe(true);
  });

  it('differs from the default only in the size of the audit log', async () => {
    const plan = await planFor();
    const failing = checks.filter(([, holds]) => !holds(plan)).map(([id]) => id);
    expect(failing).toEqual(['1.2.18', '1.2.19']);
  });
});
