import { describe, expect, it } from 'vitest';
import { parseContainer, stopWaves } from '../../../src/node/pod-containers.ts';

function info(options: {
  readonly kind?: string;
  readonly namespace?: string;
  readonly stopSignal?: string;
  readonly grace?: number;
}): string {
  const annotations = { 'io.kubernetes.pod.terminationGracePeriod': String(options.grace) };
  const metadata = JSON.stringify({ Metadata: { Config: { annotations } } });
  return JSON.stringify({
    ID: 'abc',
    Labels: {
      'io.cri-containerd.kind': options.kind ?? 'container',
      'io.kubernetes.pod.namespace': options.namespace ?? 'default',
      ...(options.stopSignal === undefined
        ? {}
        : { 'io.containerd.image.config.stop-signal': options.stopSignal }),
    },
    Extensions:
      options.grace === undefined
        ? {}
        : {
            'io.cri-containerd.container.metadata': {
              type_url: 'github.com/containerd/cri/pkg/store/container/Metadata',
              value: Buffer.from(metadata).toString('base64'),
            },
          },
  });
}

describe('parseContainer', () => {
  it('knows the signal of the image and the grace period of the pod', () => {
    expect(parseContainer(info({ stopSignal: 'SIGQUIT', grace: 5 }))).toEqual({
      id: 'abc',
      namespace: 'default',
      stopSignal: 'SIGQUIT',
      graceMs: 5000,
    });
  });

  it('takes what Kubernetes takes where nothing is said', () => {
    expect(parseContainer(info({}))).toMatchObject({ stopSignal: 'SIGTERM', graceMs: 30_000 });
  });

  it('leaves sandboxes out, and what was gone when it was asked for', () => {
    expect(parseContainer(info({ kind: 'sandbox' }))).toBeUndefined();
    expect(parseContainer('')).toBeUndefined();
  });
});

describe('stopWaves', () => {
  it('ends the pods of the system last', () => {
    const [app, dns] = ['default', 'kube-system'].map((namespace) => ({
      ...{ id: namespace, namespace, stopSignal: 'SIGTERM', graceMs: 1 },
    }));
    if (app === undefined || dns === undefined) throw new Error('there are two');
    expect(stopWaves([dns, app])).toEqual([[app], [dns]]);
    expect(stopWaves([dns])).toEqual([[dns]]);
    expect(stopWaves([])).toEqual([]);
  });
});
