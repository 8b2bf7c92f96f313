interface KubeconfigCommon {
  /** `https://host:port`. */
  readonly server: string;
  readonly userName: string;
  /** `mini-k8s` when left out. */
  readonly clusterName?: string;
  /** `<userName>@<clusterName>` when left out. */
  readonly contextName?: string;
  /** The name to find in the server's certificate when `server` names something else. */
  readonly tlsServerName?: string;
}

/** How the server is trusted: a path, or PEM text that goes into the kubeconfig. */
type KubeconfigAuthority =
  | { readonly caFile: string; readonly caData?: never }
  | { readonly caData: string; readonly caFile?: never };

/** How the user proves who they are: paths, PEM text to embed, or a bearer token. */
type KubeconfigUser =
  | KubeconfigCredentials<'certFile' | 'keyFile'>
  | KubeconfigCredentials<'certData' | 'keyData'>
  | KubeconfigCredentials<'token'>;

type CredentialField = 'certFile' | 'keyFile' | 'certData' | 'keyData' | 'token';

type KubeconfigCredentials<Given extends CredentialField> = {
  readonly [Field in Given]: string;
} & { readonly [Field in Exclude<CredentialField, Given>]?: never };

export type KubeconfigOptions = KubeconfigCommon & KubeconfigAuthority & KubeconfigUser;

/**
 * The text of a kubeconfig with one cluster, one user and one context. Equal options give equal text.
 * `caData`, `certData` and `keyData` are PEM; they are base64-encoded here. A text with `keyData` or `token`
 * holds a secret: its file has mode 0600 and it is never logged.
 *
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
export function renderKubeconfig(options: KubeconfigOptions): string {
  const cluster = options.clusterName ?? 'mini-k8s';
  const context = options.contextName ?? `${options.userName}@${cluster}`;
  return [
    'apiVersion: v1',
    'kind: Config',
    'clusters:',
    `- name: ${quote(cluster)}`,
    '  cluster:',
    `    server: ${quote(options.server)}`,
    ...field('tls-server-name', options.tlsServerName),
    ...field('certificate-authority', options.caFile),
    ...field('certificate-authority-data', base64(options.caData)),
    'users:',
    `- name: ${quote(options.userName)}`,
    '  user:',
    ...field('client-certificate', options.certFile),
    ...field('client-key', options.keyFile),
    ...field('client-certificate-data', base64(options.certData)),
    ...field('client-key-data', base64(options.keyData)),
    ...field('token', options.token),
    'contexts:',
    `- name: ${quote(context)}`,
    '  context:',
    `    cluster: ${quote(cluster)}`,
    `    user: ${quote(options.userName)}`,
    `current-context: ${quote(context)}`,
    '',
  ].join('\n');
}

function field(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`    ${name}: ${quote(value)}`];
}

function base64(pem: string | undefined): string | undefined {
  return pem === undefined ? undefined : Buffer.from(pem).toString('base64');
}

/** A JSON string is a YAML scalar whatever it holds: `system:admin`, `yes`, a line break. */
function quote(value: string): string {
  return JSON.stringify(value);
}
