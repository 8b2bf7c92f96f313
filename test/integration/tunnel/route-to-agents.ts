import type { RouteDecision } from '../../../src/tunnel/types.ts';

/** Names are nodes'; `10.244.<n>.x` is a pod of node `edge-<n>`, and so is any `fd00::<n>`. */
export function routeToAgents(host: string, port: number): RouteDecision {
  const number = /^(?:10\.244\.|fd00::)(\d+)/.exec(host)?.[1];
  const nodeName = number === undefined ? host : `edge-${number}`;
  return { type: 'agent', nodeName, host, port, subject: `${host}:${port}` };
}
