import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type FileOwner, privateMode, writePkiFile } from './pki-files.ts';

/** Makes an ECDSA P-256 key (less than 0.1 ms) and writes it as PKCS#8 PEM with mode 0600. */
export async function createPrivateKeyFile(file: string, owner: FileOwner): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writePkiFile(file, pem.toString(), { mode: privateMode, ...owner });
  return privateKey;
}
