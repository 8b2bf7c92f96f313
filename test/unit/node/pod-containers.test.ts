import { describe, expect, it } from 'vitest';
import { parseContainer, stopWaves } from '../../../src/node/pod-containers.ts';

function info(options: {
  readonly kind?: string;
  readonly namespace?: string;
  readonly stopSignal?: string;
  readonly grace?: number;
  readonly preStop?: object;
  readonly ports?: readonly object[];
}): string {
  const annotations = {
    'io.kubernetes.pod.terminationGracePeriod': String(options.grace),
    'io.kubernetes.container.preStopHandler': JSON.stringify(options.preStop),
    'io.kubernetes.container.ports': JSON.stringify(options.ports),
  };
  const metadata = JSON.stringify({ Metadata: { Config: { annotations } } });
  return JSON.stringify({
    ID: 'abc',
    Labels: {
      'io.cri-containerd.kind': options.kind ?? 'container',
      'io.kubernetes.pod.namespace': options.namespace ?? 'default',
      'io.kubernetes.pod.name': 'web-0',
      'io.kubernetes.container.name': 'main',
      ...(options.stopSignal === undefined
        ? {}
        : { 'io.containerd.image.config.stop-signal': options.stopSignal }),
    },
    Extensions:
      options.grace === undefined && options.preStop === undefined
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
      title: 'default/web-0 (main)',
      stopSignal: 'SIGQUIT',
      graceMs: 5000,
    });
  });

  it('takes what Kubernetes takes where nothing is said', () => {
    expect(parseContainer(info({}))).toMatchObject({ stopSignal: 'SIGTERM', graceMs: 30_000 });
  });

  it.each([
    [{ exec: { command: ['sh', '-c', 'x'] } }, { type: 'exec', command: ['sh', '-c', 'x'] }],
    [{ sleep: { seconds: 3 } }, { type: 'sleep', ms: 3000 }],
    [
      { httpGet: { port: 'admin', path: '/bye', httpHeaders: [{ name: 'X-A', value: 'b' }] } },
      {
        type: 'http',
        host: '',
        port: 9000,
        path: '/bye',
        isSecure: false,
        headers: { 'X-A': 'b' },
      },
    ],
    [
      { httpGet: { port: 80, path: 'bye?now' } },
      { type: 'http', host: '', port: 80, path: '/bye?now', isSecure: false, headers: {} },
    ],
    [
      { httpGet: { port: 8443, host: '10.0.0.9', scheme: 'HTTPS' } },
      { type: 'http', host: '10.0.0.9', port: 8443, path: '/', isSecure: true, headers: {} },
    ],
  ])('knows what is to be done before its signal: %j', (preStop, expected) => {
    const ports = [{ containerPort: 8080 }, { name: 'admin', containerPort: 9000 }];
    expect(parseContainer(info({ preStop, ports }))?.preStop).toEqual(expected);
  });

  it('leaves sandboxes out, and what was gone when it was asked for', () => {
    expect(parseContainer(info({ kind: 'sandbox' }))).toBeUndefined();
    expect(parseContainer('')).toBeUndefined();
  });
});

describe('stopWaves', () => {
  it('ends the pods of the system last', () => {
    const [app, dns] = ['default', 'kube-system'].map((namespace) => ({
      ...{ id: namespace, namespace, title: '', stopSignal: 'SIGTERM', graceMs: 1 },
    }));
    if (app === undefined || dns === undefined) throw new Error('there are two');
    expect(stopWaves([dns, app])).toEqual([[app], [dns]]);
    expect(stopWaves([dns])).toEqual([[dns]]);
    expect(stopWaves([])).toEqual([]);
  });
});
