import { closeSoon } from './close-soon.ts';
import type { ByteStream, Refusal } from './types.ts';

/** All that follows belongs to the target. */
const established = Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n');

const maxReasonLength = 400;

export function sendEstablished(client: ByteStream): void {
  client.write(established);
}

/** Answers and closes. The reason phrase is the message: kube-apiserver drops headers and body. */
export function sendRefusal(client: ByteStream, refusal: Refusal): void {
  const reason = refusal.reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, maxReasonLength);
  client.write(
    `HTTP/1.1 ${refusal.status} ${reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  );
  closeSoon(client);
}
