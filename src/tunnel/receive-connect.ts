import { readConnectRequest } from './read-connect-request.ts';
import { sendRefusal } from './send-answer.ts';
import type { ByteStream, Refusal, Target } from './types.ts';

export interface ReceiveOptions {
  readonly headerMs: number;
  /** `target` is empty: the request was unreadable. */
  readonly onRefused: (target: string, refusal: Refusal) => void;
}

/** Hands over the target that a client asks for; who asks for nothing that can be understood is answered here. */
export function receiveConnect(
  client: ByteStream,
  { headerMs, onRefused }: ReceiveOptions,
  onTarget: (target: Target) => void,
): void {
  readConnectRequest(client, headerMs, (request) => {
    if (request.type === 'request') {
      onTarget(request.target);
    } else if (request.type === 'invalid') {
      onRefused('', request.refusal);
      sendRefusal(client, request.refusal);
    } else {
      client.destroy();
    }
  });
}
