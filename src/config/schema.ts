import * as z from 'zod';
import { parseCidr, parseIpv4 } from '../base/ip.ts';
import { dnsSubdomain, isNodeName } from './names.ts';
import { credentialsFile, extraArgs, kubelet, pem, proxy, registries } from './schema-node.ts';

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const taint =
  /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?(=([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?)?:(NoSchedule|PreferNoSchedule|NoExecute)$/;

const ipv4 = z
  .string()
  .refine(
    (text) => text === '' || parseIpv4(text) !== undefined,
    'is not an IPv4 address such as 192.168.1.10',
  );
const cidr = z
  .string()
  .refine(
    (text) => parseCidr(text) !== undefined,
    'is not an IPv4 network such as 10.244.0.0/16 (host bits must be zero)',
  );
const port = z.int().min(1).max(65_535);
const toggle = z.strictObject({ enabled: z.boolean().default(true) }).prefault({});

/** A `*` may stand for the first label. Addresses are checked as far as they can be mistaken for names. */
const serverName = z
  .string()
  .max(253)
  .refine(
    (text) =>
      parseIpv4(text) !== undefined ||
      /^[0-9a-f:]+:[0-9a-f:.]+$/i.test(text) ||
      (dnsSubdomain.test(text.toLowerCase().replace(/^\*\./, '')) && !/^[\d.]+$/.test(text)),
    'is neither a DNS name nor an IP address (no port, no scheme)',
  );

/** Lower-cased, as DNS compares names: what is written down for machines is the same on each. */
const externalAddress = z
  .string()
  .max(253)
  .toLowerCase()
  .refine(
    (text) =>
      text === '' ||
      parseIpv4(text) !== undefined ||
      (dnsSubdomain.test(text) && !/^[\d.]+$/.test(text)),
    'is neither an IPv4 address nor a DNS name (no port, no scheme)',
  );

const nodeName = z
  .string()
  .refine(
    (text) => text === '' || isNodeName(text),
    'is not a node name: lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit',
  );

const network = z
  .strictObject({
    podCIDR: cidr.default('10.244.0.0/16').describe('network of the pods; cannot be changed later'),
    serviceCIDR: cidr
      .default('10.96.0.0/12')
      .describe('network of the Services; cannot be changed later'),
    clusterDomain: z
      .string()
      .regex(dnsSubdomain, 'is not a DNS domain such as cluster.local')
      .default('cluster.local')
      .describe('domain of the Services; cannot be changed later'),
    nodePortRange: z
      .string()
      .regex(/^\d{1,5}-\d{1,5}$/, 'is not a port range such as 30000-32767')
      .default('30000-32767')
      .describe('ports of Services of type NodePort'),
    provider: z
      .enum(['kube-router', 'custom'])
      .default('kube-router')
      .describe('custom: bring your own network plugin by manifest'),
    kubeProxy: z
      .strictObject({
        enabled: z.boolean().default(true).describe('false: another program implements Services'),
        mode: z
          .enum(['auto', 'nftables', 'iptables'])
          .default('auto')
          .describe('auto: nftables where the machine has a usable nft, else iptables'),
      })
      .prefault({})
      .describe('Services on each node'),
  })
  .prefault({});

const mirror = z
  .string()
  .refine(
    isMirrorAddress,
    'is not an http, https, oci or oci+http address without user, password, query and fragment',
  );

const artifacts = z
  .strictObject({
    mirror: mirror
      .default('')
      .describe(
        "address below which upstream's files are by upstream's paths, as https://mirror.example/v1.37.1/bin/linux/amd64/kubelet; or of a registry, as oci://registry.example/mirror (oci+http: without TLS); workers use it too",
      ),
    trustMirror: z
      .boolean()
      .default(false)
      .describe(
        'take executables from a mirror that is a registry also where no hash is pinned: whoever can write to it can run programs as root on every node',
      ),
    ca: pem
      .default('')
      .describe("PEM of CAs that are trusted for downloads besides the machine's own"),
    credentialsFile: credentialsFile.describe(
      'file on each machine with user:password for the mirror',
    ),
    upstream: toggle.describe('take from dl.k8s.io and github.com what nobody else has'),
  })
  .prefault({})
  .describe('where executables come from that neither the store nor a bundle has');

/** The configuration file: strict, every default here and nowhere else. */
export const clusterConfigSchema = z.strictObject({
  apiVersion: z.literal('mini-k8s.io/v1alpha1'),
  kind: z.literal('ClusterConfig'),
  metadata: z
    .strictObject({
      name: z
        .string()
        .regex(dnsLabel, 'is not a name')
        .default('mini-k8s')
        .describe('name of the cluster'),
    })
    .prefault({}),
  spec: z
    .strictObject({
      api: z
        .strictObject({
          address: ipv4
            .default('')
            .describe("IPv4 address of the API; the machine's own when left out"),
          port: port.default(6443).describe('port of the API'),
          gatewayPort: port
            .default(9443)
            .describe('port for workers: joining, downloads, the tunnel'),
          externalAddress: externalAddress
            .default('')
            .describe('IPv4 address or DNS name at which workers elsewhere reach this machine'),
          sans: z
            .array(serverName)
            .max(100)
            .default([])
            .describe('more names and addresses in the certificate of the API'),
        })
        .prefault({})
        .describe('the API server, and how it is reached'),
      node: z
        .strictObject({
          name: nodeName
            .default('')
            .describe('name of the node; the lower-cased host name when left out'),
          labels: z
            .record(
              z.string(),
              z
                .string()
                .max(63, 'is longer than 63 characters')
                .regex(labelValue, 'is not a label value'),
            )
            .default({})
            .describe('labels of the node'),
          taints: z
            .array(z.string().regex(taint, 'is not a taint such as key=value:NoSchedule'))
            .default([])
            .describe('taints of the node when it registers for the first time'),
        })
        .prefault({})
        .describe('this machine as a node'),
      network,
      storage: z
        .strictObject({
          etcd: z
            .strictObject({
              clientPort: port.default(2379).describe('port of etcd for the API server'),
              peerPort: port.default(2380).describe('port of etcd for other members'),
            })
            .prefault({}),
        })
        .prefault({})
        .describe('where the cluster keeps its objects'),
      artifacts,
      proxy,
      registries,
      kubelet,
      extraArgs,
      addons: z
        .strictObject({
          coredns: toggle.describe('DNS of the cluster'),
          metricsServer: toggle.describe('what kubectl top shows'),
        })
        .prefault({})
        .describe('what is deployed in the cluster'),
      hardening: z
        .enum(['default', 'cis'])
        .default('default')
        .describe('cis keeps every scored check of the CIS benchmark to the letter'),
      tuning: z
        .enum(['small', 'upstream'])
        .default('small')
        .describe('small for 1 vCPU and 1 GB of memory; upstream leaves the defaults of upstream'),
    })
    .prefault({}),
});

function isMirrorAddress(text: string): boolean {
  if (text === '') return true;
  if (!/^(https?|oci|oci\+http):\/\//.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.host === '') return false;
  return [url.username, url.password, url.search, url.hash].every((part) => part === '');
}
