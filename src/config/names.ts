/** DNS-1123 subdomain, as Kubernetes wants node names. @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
export const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Whether Kubernetes takes it as a node name. */
export function isNodeName(name: string): boolean {
  return name.length <= 253 && dnsSubdomain.test(name);
}
