import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type EdgeSites, edgeNames } from '../../support/e2e/edge-sites.ts';
import { configMap, startPods, testPod } from '../../support/e2e/objects.ts';
import { buildGoProgram } from '../../support/go/build-go-program.ts';
import type { BindMount } from '../../support/node/types.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';

const namespace = 'served';
const program = '/opt/mini-k8s/test-programs/api-in-a-pod';
const tlsDirectory = '/tls';

/** What the workers' nodes must have for this suite. */
export async function servedBinds(): Promise<readonly BindMount[]> {
  const source = await buildGoProgram('api-in-a-pod', AbortSignal.timeout(110_000));
  return [{ source, target: program }];
}

/** kube-apiserver asks a worker's pod, by a Service, through the worker's tunnel. */
export function describeServed(sites: () => EdgeSites): void {
  describe('what kube-apiserver asks of a pod', () => {
    const authority = createTestAuthority();
    const caBundle = Buffer.from(authority.ca).toString('base64');

    beforeAll(async () => {
      const objects = edgeNames.flatMap((name) => {
        const { cert, key } = authority.issueServer({
          dnsNames: [`${podName(name)}.${namespace}.svc`],
        });
        return [tlsSecret(name, { cert, key }), serverPod(name), service(name)];
      });
      await startPods(sites().cluster, namespace, objects);
    });

    test.each(edgeNames)('an admission webhook on %s is heard', async (name) => {
      const { cluster } = sites();
      onTestFinished(async () => {
        await cluster.kubectl(['delete', 'validatingwebhookconfiguration', webhookName(name)]);
      });
      await cluster.apply(webhookConfiguration(name, caBundle));
      const labels = { 'checked-by': name };
      const unwanted = configMapWith(`unwanted-on-${name}`, { ...labels, unwanted: 'yes' });
      const denied = await cluster.mini(['kubectl', 'create', '-f', '-'], {
        input: JSON.stringify(unwanted),
      });
      expect(denied).toMatchObject({ exitCode: 1, stdout: '' });
      expect(denied.stderr).toContain(
        `admission webhook "${webhookName(name)}" denied the request: ${name} does not want it`,
      );
      await cluster.apply(configMapWith(`wanted-on-${name}`, labels));
    });

    test.each(edgeNames)('an aggregated API on %s answers', async (name) => {
      const { cluster } = sites();
      onTestFinished(async () => {
        await cluster.kubectl(['delete', 'apiservice', `v1.${groupOf(name)}`]);
      });
      await cluster.apply(apiService(name, caBundle));
      await cluster.kubectl([
        ...['wait', '--for=condition=Available', `apiservice/v1.${groupOf(name)}`, '--timeout=30s'],
      ]);
      const path = `/apis/${groupOf(name)}/v1/greetings/hello`;
      expect(JSON.parse(await cluster.kubectl(['get', '--raw', path]))).toMatchObject({
        from: name,
        askedBy: 'kubernetes-admin',
      });
    });
  });
}

function podName(name: string): string {
  return `${name}-api`;
}

function groupOf(name: string): string {
  return `${name}.test.mini-k8s.io`;
}

function webhookName(name: string): string {
  return `checks.${groupOf(name)}`;
}

function serverPod(name: string) {
  const command = ['/server', name, groupOf(name), tlsDirectory];
  const pod = testPod({ name: podName(name), namespace, command });
  const containers = pod.spec.containers.map((container) => ({
    ...container,
    volumeMounts: [
      { name: 'program', mountPath: '/server' },
      { name: 'tls', mountPath: tlsDirectory },
    ],
    readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
  }));
  const volumes = [
    { name: 'program', hostPath: { path: program, type: 'File' } },
    { name: 'tls', secret: { secretName: podName(name) } },
  ];
  return { ...pod, spec: { ...pod.spec, containers, volumes, nodeName: name } };
}

function service(name: string) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: podName(name), namespace },
    spec: { selector: { app: podName(name) }, ports: [{ port: 443, targetPort: 8443 }] },
  };
}

function tlsSecret(name: string, { cert, key }: { readonly cert: string; readonly key: string }) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: podName(name), namespace },
    stringData: { 'tls.crt': cert, 'tls.key': key },
  };
}

function webhookConfiguration(name: string, caBundle: string) {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: webhookName(name) },
    webhooks: [
      {
        name: webhookName(name),
        clientConfig: {
          caBundle,
          service: { name: podName(name), namespace, path: '/validate' },
        },
        rules: [
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            operations: ['CREATE'],
            resources: ['configmaps'],
          },
        ],
        objectSelector: { matchLabels: { 'checked-by': name } },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        timeoutSeconds: 5,
        admissionReviewVersions: ['v1'],
      },
    ],
  };
}

function configMapWith(name: string, labels: Readonly<Record<string, string>>) {
  const object = configMap(name, {});
  return { ...object, metadata: { ...object.metadata, namespace, labels } };
}

function apiService(name: string, caBundle: string) {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: `v1.${groupOf(name)}` },
    spec: {
      group: groupOf(name),
      version: 'v1',
      service: { name: podName(name), namespace },
      caBundle,
      groupPriorityMinimum: 100,
      versionPriority: 100,
    },
  };
}
