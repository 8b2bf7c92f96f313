/** A container of a pod, and how it wants to be stopped. */
export interface PodContainer {
  readonly id: string;
  readonly namespace: string;
  /** `shop/web-0 (main)`, for messages. */
  readonly title: string;
  /** Name or number, as the image says; SIGTERM unless it says something. */
  readonly stopSignal: string;
  readonly graceMs: number;
  /** Done before the signal, within the same time. */
  readonly preStop?: PreStopHook;
}

/** What a container wants done before it is told to end. */
export type PreStopHook =
  | { readonly type: 'exec'; readonly command: readonly string[] }
  | { readonly type: 'sleep'; readonly ms: number }
  | {
      readonly type: 'http';
      /** Empty: the pod itself. */
      readonly host: string;
      readonly port: number;
      readonly path: string;
      readonly isSecure: boolean;
      readonly headers: Readonly<Record<string, string>>;
    };

/** Kubernetes' own default. */
const defaultGraceSeconds = 30;

/** The running containers that containerd knows; sandboxes, which only hold a network, are not among them. */
export async function readContainers(
  ctr: (...args: readonly string[]) => Promise<string>,
): Promise<PodContainer[]> {
  const ids = (await ctr('tasks', 'list', '--quiet')).split('\n').filter((id) => id !== '');
  const containers: PodContainer[] = [];
  for (const id of ids) {
    const container = parseContainer(await ctr('containers', 'info', id).catch(() => ''));
    if (container !== undefined) containers.push(container);
  }
  return containers;
}

/** What `ctr containers info` prints; undefined for a sandbox, and for one that went away while it was asked for. */
export function parseContainer(info: string): PodContainer | undefined {
  if (info === '') return undefined;
  const parsed = JSON.parse(info) as Info;
  const { ID: id, Labels: labels = {} } = parsed;
  if (labels['io.cri-containerd.kind'] !== 'container') return undefined;
  const annotations = readAnnotations(parsed);
  const preStop = readHook(annotations);
  const namespace = labels['io.kubernetes.pod.namespace'] ?? '';
  const [pod, container] = ['pod', 'container'].map((kind) => labels[`io.kubernetes.${kind}.name`]);
  return {
    id,
    namespace,
    title: `${namespace}/${pod ?? id} (${container ?? ''})`,
    stopSignal: labels['io.containerd.image.config.stop-signal'] ?? 'SIGTERM',
    graceMs: readGraceSeconds(annotations) * 1000,
    ...(preStop === undefined ? {} : { preStop }),
  };
}

/** Two rounds: the pods of `kube-system` go last. Rounds without containers are left out. */
export function stopWaves(containers: readonly PodContainer[]): PodContainer[][] {
  const isSystem = ({ namespace }: PodContainer) => namespace === 'kube-system';
  return [
    containers.filter((container) => !isSystem(container)),
    containers.filter(isSystem),
  ].filter((wave) => wave.length > 0);
}

interface Info {
  readonly ID: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly Extensions?: Readonly<Record<string, { readonly value?: string } | undefined>>;
}

type Annotations = Readonly<Record<string, string | undefined>>;

/** What kubelet says of a container, in what the CRI plugin keeps of it. */
function readAnnotations({ Extensions: extensions = {} }: Info): Annotations {
  const text = extensions['io.cri-containerd.container.metadata']?.value;
  const metadata = parseJson(Buffer.from(text ?? '', 'base64').toString('utf8')) as {
    readonly Metadata?: { readonly Config?: { readonly annotations?: Annotations } };
  };
  return metadata.Metadata?.Config?.annotations ?? {};
}

function readGraceSeconds(annotations: Annotations): number {
  const text = annotations['io.kubernetes.pod.terminationGracePeriod'] ?? '';
  return /^\d+$/.test(text) ? Number(text) : defaultGraceSeconds;
}

/** A LifecycleHandler of Kubernetes' API. */
interface Handler {
  readonly exec?: { readonly command?: readonly string[] };
  readonly httpGet?: {
    readonly host?: string;
    readonly port: number | string;
    readonly path?: string;
    readonly scheme?: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly sleep?: { readonly seconds: number };
}

function readHook(annotations: Annotations): PreStopHook | undefined {
  const handler = parseJson(annotations['io.kubernetes.container.preStopHandler']) as Handler;
  const { exec, httpGet, sleep } = handler;
  if (exec?.command !== undefined) return { type: 'exec', command: exec.command };
  if (sleep !== undefined) return { type: 'sleep', ms: sleep.seconds * 1000 };
  if (httpGet === undefined) return undefined;
  const { host = '', path = '/', scheme = 'HTTP', httpHeaders = [] } = httpGet;
  return {
    type: 'http',
    host,
    port: findPort(httpGet.port, annotations),
    // kubelet asks for `/bye` where `bye` is said.
    path: path.startsWith('/') ? path : `/${path}`,
    isSecure: scheme === 'HTTPS',
    headers: Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value])),
  };
}

/** It may be given by the name that the container gives it. */
function findPort(port: number | string, annotations: Annotations): number {
  const ports = parseJson(annotations['io.kubernetes.container.ports'] ?? '[]') as readonly {
    readonly name?: string;
    readonly containerPort: number;
  }[];
  const named = ports.find(({ name }) => name === port)?.containerPort;
  return named ?? Number(port);
}

/** Empty for what is none. */
function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}') ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
