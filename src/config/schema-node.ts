import * as z from 'zod';
import { parseIpv4 } from '../base/ip.ts';
import { parseProxyUrl } from '../base/proxy-settings.ts';
import { dnsSubdomain } from './names.ts';

/** PEM itself: it travels to other machines, where a file's name would mean nothing. */
export const pem = z
  .string()
  .refine(
    (text) => text === '' || /^-----BEGIN CERTIFICATE-----\r?$/m.test(text),
    'is not a certificate in PEM: it goes here itself, not the name of its file',
  );

/** Of a file with a secret: the secret itself never stands in a configuration. */
export const credentialsFile = z
  .string()
  .regex(/^(\/.+)?$/, 'is not an absolute path')
  .default('');

/** An address below which something is served. */
export const serverUrl = z
  .string()
  .refine(
    isServerUrl,
    'is not an http or https address without user, password, query and fragment',
  );

const proxyUrl = z
  .string()
  .refine(
    (text) => text === '' || parseProxyUrl(text) !== undefined,
    // The text may hold a password.
    'is not the URL of an http or https proxy, such as http://proxy.example:3128',
  )
  .default('');

/** How this machine reaches the rest of the world. */
export const proxy = z
  .strictObject({
    http: proxyUrl.describe('proxy for http, as HTTP_PROXY says it elsewhere'),
    https: proxyUrl.describe('proxy for https, as HTTPS_PROXY says it elsewhere'),
    noProxy: z
      .array(z.string().regex(/^[^\s,]+$/, 'is not one name, address or network'))
      .default([])
      .describe(
        "names, addresses and networks that are reached without it, as NO_PROXY says them; the cluster's own are among them",
      ),
  })
  .prefault({})
  .describe('proxy of downloads, of the way to the controllers, and of containerd');

const mirror = z.strictObject({
  url: serverUrl.min(1, 'is not there').describe('address of the mirror'),
  ca: pem.default('').describe("PEM of CAs that it is held against besides the machine's own"),
  credentialsFile: credentialsFile.describe('file on each machine with user:password, mode 0600'),
});

const registry = z.strictObject({
  url: serverUrl.default('').describe('where the registry itself is; https://NAME when left out'),
  mirrors: z
    .array(mirror)
    .max(20)
    .default([])
    .describe('asked in this order before the registry itself'),
  ca: pem
    .default('')
    .describe("PEM of CAs that the registry is held against besides the machine's own"),
  credentialsFile: credentialsFile.describe(
    'file on each machine with user:password for the registry, mode 0600',
  ),
});

/** Where containerd takes images from. */
export const registries = z
  .record(
    z
      .string()
      .refine(isRegistryName, 'is neither a registry such as docker.io or 10.0.0.5:5000, nor "*"'),
    registry,
  )
  .default({})
  .describe('registries by name, "*" for all others: mirrors, credentials, CAs');

const flagValue = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.union([z.string(), z.number()])),
]);
const flags = z
  .record(
    z
      .string()
      .regex(/^[a-z][a-z0-9-]*$/, 'is not the name of a flag, without dashes before it: event-ttl'),
    flagValue,
  )
  .default({})
  .describe('flags by name; a list is joined with commas');

/** More flags of components, or other values than ours. */
export const extraArgs = z
  .strictObject({
    etcd: flags,
    'kube-apiserver': flags,
    'kube-controller-manager': flags,
    'kube-scheduler': flags,
    containerd: flags,
    kubelet: flags,
    'kube-proxy': flags,
  })
  .prefault({})
  .describe('more flags of components, or other values than those of mini-k8s');

/** Fields of KubeletConfiguration. */
export const kubelet = z
  .record(z.string(), z.unknown())
  .default({})
  .describe(
    'fields of KubeletConfiguration: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/',
  );

function isServerUrl(text: string): boolean {
  if (text === '') return true;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return [url.username, url.password, url.search, url.hash].every((part) => part === '');
}

/** `host`, `host:port` or `*`; what becomes a directory's name. */
function isRegistryName(text: string): boolean {
  if (text === '*') return true;
  const [, host = '', port] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isHost = parseIpv4(host) !== undefined || dnsSubdomain.test(host);
  return isHost && (port === undefined || Number(port) <= 65_535);
}
