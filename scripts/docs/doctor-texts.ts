import type { HostFacts } from '../../src/config/host-facts.ts';
import type { ClusterConfig } from '../../src/config/types.ts';
import { judgeCertificates } from '../../src/doctor/certificates.ts';
import { judgeCgroups } from '../../src/doctor/cgroups.ts';
import { judgeDisk } from '../../src/doctor/data-directory.ts';
import { judgeDefaultRoute } from '../../src/doctor/default-route.ts';
import { judgeForward } from '../../src/doctor/forward-policy.ts';
import { judgeKernel } from '../../src/doctor/kernel.ts';
import { judgeKeyFiles } from '../../src/doctor/key-files.ts';
import { judgeLeftovers } from '../../src/doctor/leftovers.ts';
import { judgeMemory } from '../../src/doctor/memory.ts';
import { judgeNameServers } from '../../src/doctor/name-servers.ts';
import { judgePageSize } from '../../src/doctor/page-size.ts';
import { judgePorts } from '../../src/doctor/ports.ts';
import { judgeServiceTools } from '../../src/doctor/service-tools.ts';
import { judgeSettings } from '../../src/doctor/settings.ts';
import { judgeStore } from '../../src/doctor/store.ts';
import { judgeSwap } from '../../src/doctor/swap.ts';
import { judgeTime } from '../../src/doctor/time.ts';
import type { Verdict } from '../../src/doctor/types.ts';
import { judgeLatency } from '../../src/doctor/write-latency.ts';

const mebibyte = 1024 * 1024;
const dataDir = '/var/lib/mini-k8s';

/** For each probe, what it finds on machines with one thing wrong each. */
const cases: Readonly<Record<string, (config: ClusterConfig) => readonly Verdict[]>> = {
  cgroups: () => [
    ...judgeCgroups({
      ...{ version: 'v2', controllers: ['cpuset', 'cpu', 'io', 'pids'] },
      ...{ kernelCommandLine: 'cgroup_disable=memory', board: 'Raspberry Pi 4 Model B' },
      bootFile: { path: '/boot/firmware/cmdline.txt', content: 'console=tty1' },
    }),
    ...judgeCgroups({
      ...{ version: 'v1', kernelCommandLine: '', board: '' },
      controllers: ['cpu', 'cpuacct', 'cpuset', 'devices', 'memory', 'pids'],
    }),
  ],
  kernel: () =>
    judgeKernel(
      new Map([
        ['overlay', { type: 'failed', message: 'unknown filesystem type' }],
        ['bridge', { type: 'failed', message: 'Operation not supported' }],
      ]),
      { provider: 'kube-router', serviceMode: 'nftables', dataDir },
    ),
  'service-tools': (config) => judgeServiceTools({ config, host, serviceMode: 'iptables' }),
  'page-size': () => judgePageSize(16_384),
  memory: () =>
    judgeMemory({
      ...{ totalBytes: 512 * mebibyte, availableBytes: 400 * mebibyte },
      ...{ hasControlPlane: true, isRunning: false },
    }),
  swap: () =>
    judgeSwap([
      {
        ...{ path: '/var/swap', type: 'file', medium: 'card' },
        ...{ sizeBytes: 512 * mebibyte, usedBytes: 20 * mebibyte },
      },
    ]),
  disk: () => [
    ...judgeDisk({ ...disk, freeBytes: 100 * mebibyte }),
    ...judgeDisk({ ...disk, freeBytes: 900 * mebibyte }),
  ],
  'write-latency': () => judgeLatency({ directory: dataDir, samplesMs: [90, 110, 400] }),
  clock: () => [
    ...judgeTime({ ...clock, nowMs: 0, isSynchronised: false }),
    ...judgeTime({ ...clock, isSynchronised: false }),
  ],
  'default-route': () => judgeDefaultRoute(host, ''),
  dns: () =>
    judgeNameServers({
      machines: ['127.0.0.1'],
      pods: { path: '/etc/resolv.conf', nameservers: [] },
      serviceCIDR: '10.96.0.0/12',
    }),
  ports: () => {
    const use = { port: 6443, component: 'kube-apiserver', field: 'spec.api.port' };
    const owner = { pid: 812, name: 'nginx' };
    return judgePorts([use], [{ use, owner }], { ownPids: new Set(), isRunning: false });
  },
  forwarding: () => judgeForward({ policy: 'drop', isDockers: true }),
  leftovers: () =>
    judgeLeftovers({
      distributions: [],
      links: ['cni0', 'flannel.1'],
      cniFiles: ['05-cilium.conflist'],
      cniDirectory: '/etc/cni/net.d',
      ownCniFile: '10-kuberouter.conflist',
      isNode: false,
    }),
  settings: () =>
    judgeSettings([{ key: 'net.ipv4.ip_forward', wanted: '1', actual: '0', isVital: true }]),
  certificates: () =>
    judgeCertificates({
      authorities: [],
      leaves: [
        {
          ...{ name: 'kubelet-client', file: `${dataDir}/pki/kubelet-client.crt` },
          ...{ state: 'expired', commonName: 'system:node:edge-1', daysLeft: -3 },
          notAfter: '2026-11-18T00:00:00.000Z',
        },
      ],
      ...{ hasControlPlane: false, isRunning: true },
    }),
  keys: () => judgeKeyFiles([{ path: `${dataDir}/pki/ca.key`, mode: 0o644 }]),
  store: () =>
    judgeStore({
      storeDir: `${dataDir}/store`,
      problems: [
        {
          ...{ digest: 'sha256:4f…', path: `${dataDir}/store/blobs/sha256/4f…` },
          why: 'it has 12 bytes instead of 34',
        },
      ],
      elapsedMs: 0,
    }),
};

/** A board without nft, iptables, default route and nameservers. */
const host: HostFacts = {
  hostname: 'edge-1',
  machineId: '0123456789abcdef0123456789abcdef',
  arch: 'arm64',
  memoryBytes: 1024 * mebibyte,
  cpus: 4,
  cgroupVersion: 'v2',
  isSystemd: true,
  addresses: [{ interface: 'eth0', address: '192.168.1.10', prefix: 24 }],
  resolvConf: { path: '/etc/resolv.conf', nameservers: [] },
  hasNftables: false,
  hasIptables: false,
  allowsNegativeOomScore: true,
  allowsConntrackSysctls: true,
  swapBytes: 0,
};

const disk = {
  ...{ dataDir, totalBytes: 8192 * mebibyte, freeBytes: 0 },
  ...{ inodes: 500_000, freeInodes: 400_000, hasCluster: false },
};

const releasedAtMs = Date.UTC(2026, 8, 1);
const clock = { nowMs: Date.UTC(2026, 10, 21), releasedAtMs, hasBatteryClock: false };

/** Everything that `mini-k8s doctor` looks at, and by example what it says where something is wrong. Pure. */
export function renderDoctorTexts(names: readonly string[], config: ClusterConfig): string {
  const rows = names.flatMap((name) => {
    const found = cases[name]?.(config) ?? [];
    const wrong = found.filter(({ state }) => state === 'fail' || state === 'warn');
    if (wrong.length === 0) throw new Error(`no case shows what the probe ${name} says`);
    return wrong.map((verdict) => row(name, verdict));
  });
  return ['| probe | what | why | fix |', '|---|---|---|---|', ...rows].join('\n');
}

function row(name: string, verdict: Verdict): string {
  if (verdict.state !== 'fail' && verdict.state !== 'warn') throw new TypeError('nothing is wrong');
  const subject = verdict.state === 'fail' ? `**Cannot ${verdict.prevents}**` : verdict.what;
  return `| ${[name, subject, verdict.why, verdict.fix ?? ''].map(cell).join(' | ')} |`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
