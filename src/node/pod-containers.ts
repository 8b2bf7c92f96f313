/** A container of a pod, and how it wants to be stopped. */
export interface PodContainer {
  readonly id: string;
  readonly namespace: string;
  /** Name or number, as the image says; SIGTERM unless it says something. */
  readonly stopSignal: string;
  readonly graceMs: number;
}

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
  const { ID: id, Labels: labels = {}, Extensions: extensions } = JSON.parse(info) as Info;
  if (labels['io.cri-containerd.kind'] !== 'container') return undefined;
  return {
    id,
    namespace: labels['io.kubernetes.pod.namespace'] ?? '',
    stopSignal: labels['io.containerd.image.config.stop-signal'] ?? 'SIGTERM',
    graceMs: graceSeconds(extensions) * 1000,
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

/** Kubelet leaves the pod's own as an annotation, in what the CRI plugin keeps of each container. */
function graceSeconds(extensions: Info['Extensions']): number {
  const metadata = JSON.stringify(extensions ?? {});
  const decoded = Object.values(extensions ?? {}).map((entry) => decode(entry?.value));
  for (const text of [metadata, ...decoded]) {
    const match = /"io\.kubernetes\.pod\.terminationGracePeriod":\s*"(\d+)"/.exec(text);
    if (match !== null) return Number(match[1]);
  }
  return defaultGraceSeconds;
}

function decode(value: string | undefined): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
}
