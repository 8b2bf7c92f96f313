/** A certificate authority that signs leaves. ECDSA P-256, self-signed. */
export interface AuthoritySpec {
  /** Reference for `CertificateSpec.authority`. */
  readonly name: string;
  readonly commonName: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly ttlDays: number;
}

/** A leaf certificate with its key. Exactly one extended key usage. */
export interface CertificateSpec {
  readonly name: string;
  readonly authority: string;
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly usage: 'server' | 'client';
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly certFile: string;
  /** Mode 0600. */
  readonly keyFile: string;
  readonly ttlDays: number;
  /** Owner of both files, 0 when left out. */
  readonly uid?: number;
  readonly gid?: number;
  /** Append the authority's certificate to certFile (design §11.10: the API server's chain). */
  readonly includeAuthority?: boolean;
}

/** A key pair without a certificate: the service-account key. ECDSA P-256, PKCS#8 and SPKI PEM. */
export interface KeyPairSpec {
  readonly name: string;
  readonly privateKeyFile: string;
  readonly publicKeyFile: string;
}

/** Random bytes, kept base64-encoded in a 0600 file; made once. */
export interface SecretSpec {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
}

/** Everything the pki engine must make true. Serialisable; holds no key material. */
export interface PkiPlan {
  readonly authorities: readonly AuthoritySpec[];
  readonly certificates: readonly CertificateSpec[];
  readonly keyPairs: readonly KeyPairSpec[];
  readonly secrets: readonly SecretSpec[];
}

export type PkiEvent =
  | { readonly type: 'authority-created'; readonly name: string }
  | { readonly type: 'certificate-issued'; readonly name: string; readonly reason: IssueReason }
  | { readonly type: 'key-pair-created'; readonly name: string }
  | { readonly type: 'secret-created'; readonly name: string };

/** Why a leaf was issued. */
export type IssueReason =
  | 'missing'
  | 'unreadable'
  /** The key is not the certificate's: the end of an interrupted issue. */
  | 'key-mismatch'
  /** Not signed by the present authority, or its file does not end with the authority's certificate. */
  | 'authority-changed'
  | 'usage-changed'
  | 'subject-changed'
  | 'sans-changed'
  /** The last third of its life has begun. */
  | 'expiring'
  /** Made while the clock was ahead. */
  | 'not-yet-valid';

/** What `status` shows of a certificate, an authority's or a leaf's. */
export type CertificateStatus = ReadableCertificateStatus | LostCertificateStatus;

export interface ReadableCertificateStatus {
  readonly name: string;
  readonly file: string;
  /** `expiring`: the last third of its life has begun. */
  readonly state: 'valid' | 'expiring' | 'expired' | 'not-yet-valid';
  readonly commonName: string;
  /** ISO 8601. */
  readonly notAfter: string;
  /** Whole days until notAfter, negative when it is over. */
  readonly daysLeft: number;
}

export interface LostCertificateStatus {
  readonly name: string;
  readonly file: string;
  readonly state: 'missing' | 'unreadable';
}
