import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createTestCluster } from '../../integration/tunnel/node-certificates.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';

/** The node that both agents are. */
export const nodeName = 'edge-1';

/** Paths of PEM files: the same kinds of keys and certificates for both tunnels. */
export interface CertificateFiles {
  /** Of nodes, and of our server. */
  readonly ca: string;
  /** Certificate and key of the node in one file. */
  readonly node: string;
  readonly ourServer: { readonly cert: string; readonly key: string };
  /** Konnectivity's agent knows its server by the address that it dials. */
  readonly addressedServer: { readonly ca: string; readonly cert: string; readonly key: string };
}

export function writeCertificates(directory: string): CertificateFiles {
  const write = (name: string, text: string) => {
    const file = path.join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const cluster = createTestCluster();
  const authority = createTestAuthority('server-ca');
  const server = authority.issueServer({ ipAddresses: ['127.0.0.1'] });
  return {
    ca: write('ca.crt', cluster.ca),
    node: write('node.pem', cluster.issueNode(nodeName)),
    ourServer: {
      cert: write('gateway.crt', cluster.gateway.cert),
      key: write('gateway.key', cluster.gateway.key),
    },
    addressedServer: {
      ca: write('server-ca.crt', authority.ca),
      cert: write('server.crt', server.cert),
      key: write('server.key', server.key),
    },
  };
}
