import { testImage } from './product.ts';

/** Runs kubectl, in a node or outside; throws unless its exit code is 0. */
export type Kubectl = (
  args: readonly string[],
  options?: { readonly input?: string; readonly timeoutMs?: number },
) => Promise<string>;

export interface TestPodOptions {
  readonly name: string;
  readonly namespace: string;
  /** Default: sleeps until it is ended. */
  readonly command?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: the image was imported, and no registry is asked. */
  readonly imagePullPolicy?: 'Never' | 'IfNotPresent';
}

/** A pod with the test image that ends at once when it is deleted. */
export function testPod(options: TestPodOptions) {
  const { name, namespace, labels = {} } = options;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, ...labels } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'main',
          image: testImage,
          imagePullPolicy: options.imagePullPolicy ?? 'Never',
          command: options.command ?? ['sleep', '2147483647'],
        },
      ],
    },
  };
}

/** A web server on port 8080 whose `/` says `text`. */
export function webPod(options: TestPodOptions & { readonly text: string }) {
  const script = `echo '${options.text}' > /www/index.html && exec httpd -f -p 8080 -h /www`;
  return testPod({ ...options, command: ['sh', '-c', script] });
}

export function namespaceObject(name: string, labels: Readonly<Record<string, string>> = {}) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function configMap(name: string, data: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data };
}

/** Makes a namespace with pods in it and waits until all of them are Ready; on time-out says what became of them. */
export async function startPods(
  { kubectl }: { readonly kubectl: Kubectl },
  namespace: string,
  objects: readonly unknown[],
): Promise<void> {
  await apply(kubectl, [namespaceObject(namespace)]);
  // A pod is refused until its namespace has the account that pods run under.
  const account = ['wait', '--for=create', 'serviceaccount/default', '--timeout=30s'];
  await kubectl([...account, '-n', namespace]);
  await apply(kubectl, objects);
  const wait = ['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s'];
  try {
    await kubectl([...wait, '-n', namespace], { timeoutMs: 100_000 });
  } catch (error) {
    throw new Error(await describePods(kubectl, namespace), { cause: error });
  }
}

async function describePods(kubectl: Kubectl, namespace: string): Promise<string> {
  const pods = await kubectl(['describe', 'pods', '-n', namespace]);
  const nodes = await kubectl(['describe', 'nodes']);
  const system = await kubectl(['get', 'pods', '-A', '-o', 'wide']);
  return `Pods of namespace ${namespace} are not Ready:\n${pods}\n${nodes}\n${system}`;
}

async function apply(kubectl: Kubectl, items: readonly unknown[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '-f', '-'], { input });
}
