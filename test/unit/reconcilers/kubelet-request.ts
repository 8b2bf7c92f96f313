import type { CertificateRequest } from '../../../src/pki/certificate-request.ts';
import type { CsrObject } from '../../../src/reconcilers/resources.ts';

/** What asks for a certificate of `edge-1`, with what the kind of the certificate decides. */
export function csrWith(spec: Omit<CsrObject['spec'], 'request'>): CsrObject {
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'csr-1', creationTimestamp: '2026-11-21T10:00:00Z' },
    spec: { request: '', ...spec },
  };
}

export function changeSpec(csr: CsrObject, spec: Partial<CsrObject['spec']>): CsrObject {
  return { ...csr, spec: { ...csr.spec, ...spec } };
}

/** As the kubelet of `edge-1` makes it for its client certificate; one for serving has names besides. */
export const kubeletRequest: CertificateRequest = {
  commonName: 'system:node:edge-1',
  organizations: ['system:nodes'],
  otherSubjectAttributes: [],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
  otherNameCount: 0,
  keyType: 'ECDSA',
  keyBits: 256,
  curve: 'P-256',
  isSignatureValid: true,
};
