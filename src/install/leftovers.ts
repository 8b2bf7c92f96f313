import { access } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';

interface OtherDistribution {
  readonly name: string;
  /** Files of which each alone says that it was installed here and not removed. */
  readonly signs: readonly string[];
  readonly removal: string;
}

/** Distributions that want the same ports, directories and rules as a node of ours. */
const others: readonly OtherDistribution[] = [
  {
    name: 'K3s',
    signs: [
      '/etc/systemd/system/k3s.service',
      '/etc/systemd/system/k3s-agent.service',
      '/etc/init.d/k3s',
      '/etc/init.d/k3s-agent',
      '/var/lib/rancher/k3s/server/db',
      '/var/lib/rancher/k3s/agent/containerd',
    ],
    removal: 'k3s-uninstall.sh (on an agent: k3s-agent-uninstall.sh)',
  },
  {
    name: 'k0s',
    signs: [
      '/etc/systemd/system/k0scontroller.service',
      '/etc/systemd/system/k0sworker.service',
      '/etc/init.d/k0scontroller',
      '/etc/init.d/k0sworker',
      '/var/lib/k0s/pki',
      '/var/lib/k0s/containerd',
    ],
    removal: 'k0s stop; k0s reset',
  },
  {
    name: 'kubeadm',
    signs: [
      '/etc/kubernetes/kubelet.conf',
      '/etc/kubernetes/admin.conf',
      '/etc/kubernetes/manifests/kube-apiserver.yaml',
    ],
    removal: 'kubeadm reset',
  },
];

/** One error for each other distribution that is still on this machine, with the first file that says so. */
export async function findLeftovers(what: string): Promise<UserError[]> {
  const found = await Promise.all(
    others.map(async ({ name, signs, removal }) => {
      const sign = await firstExisting(signs);
      if (sign === undefined) return [];
      const why = `${name} is on this machine: ${sign} is there`;
      return [new UserError({ what, why, fix: `remove it first: ${removal}` })];
    }),
  );
  return found.flat();
}

async function firstExisting(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}
