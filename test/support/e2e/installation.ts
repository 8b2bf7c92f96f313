import { type MachineSnapshot, snapshotMachine } from './faults-snapshot.ts';
import { downloads, type Machine } from './machine.ts';
import { testPod } from './objects.ts';

/** Arguments of kubectl that print the id of the container of `slowToEnd`. */
export const slowContainer = [
  ...['-n', 'shop', 'get', 'pod', 'slow'],
  ...['-o', 'jsonpath={.status.containerStatuses[0].containerID}'],
];

/** What `slowToEnd` says on the machine's disk. */
export const slowFile = '/var/lib/shop/said';

/** Two ways to tell the same. */
const preStopHooks = {
  exec: { exec: { command: ['sh', '-c', 'echo warned >> /data/said'] } },
  httpGet: { httpGet: { path: '/cgi-bin/warn', port: 8080 } },
} as const;

/**
 * A pod that says when it starts, when it is told that it will end, by a command or a request, and when it has ended in
 * its own time.
 */
export function slowToEnd(hook: keyof typeof preStopHooks) {
  const script = `
    mkdir -p /www/cgi-bin
    printf '#!/bin/sh\\necho warned >> /data/said; echo\\n' > /www/cgi-bin/warn
    busybox chmod +x /www/cgi-bin/warn
    httpd -p 8080 -h /www
    echo started >> /data/said
    trap "sleep 3; echo ended >> /data/said; exit 0" TERM
    while :; do sleep 1; done`;
  const pod = testPod({ name: 'slow', namespace: 'shop', command: ['sh', '-c', script] });
  const [container] = pod.spec.containers;
  return {
    ...pod,
    spec: {
      terminationGracePeriodSeconds: 20,
      containers: [
        {
          ...container,
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
          lifecycle: { preStop: preStopHooks[hook] },
        },
      ],
      volumes: [{ name: 'data', hostPath: { path: '/var/lib/shop', type: 'DirectoryOrCreate' } }],
    },
  };
}

export async function importTestImage(machine: Machine): Promise<void> {
  await machine.run(['ctr', 'images', 'import', `${downloads.testImages}/busybox.tar`]);
}

/** What the machine makes at the first service and the first user of its life, and keeps, is not for us to remove. */
export async function prepareForSnapshots({ node, manager }: Machine): Promise<void> {
  if (manager === 'systemd') {
    const unit = '/etc/systemd/system/first.service';
    const service = '[Service]\nType=oneshot\nDelegate=yes\nExecStart=/bin/true\n';
    await node.writeFile(unit, service);
    await node.run(['systemctl', 'start', 'first']);
    await node.run(['rm', unit]);
    await node.run(['systemctl', 'daemon-reload']);
  }
  await node.run(['sh', '-c', 'useradd --system first && userdel first']);
}

/** A snapshot with users and programs, without what the service manager itself keeps of every service that ever ran. */
export async function snapshotInstallation(machine: Machine): Promise<MachineSnapshot> {
  const all = await snapshotMachine(machine.node);
  const isOfManager = /^\/(run\/(systemd|openrc|log|udev)|var\/log\/(journal|wtmp|btmp|lastlog))/;
  const programs = 'find /usr/local/bin /usr/local/lib -maxdepth 1';
  const found = await machine.node.run(['sh', '-c', programs]);
  const users = await machine.node.run(['cat', '/etc/passwd', '/etc/group']);
  // After a reboot the other end of the network card has another number.
  const links = (all['link'] ?? []).map((line) => line.replace(/@if\d+/, ''));
  const lines = [...(all['file'] ?? []), ...found.split('\n'), ...users.split('\n')];
  return { ...all, link: links, file: lines.filter((line) => !isOfManager.test(line)) };
}
