/**
 * Where a CONNECT target is reached. `refuse` becomes the answer's status line, whose reason phrase is all that
 * kube-apiserver shows to its user: it must say what is wrong, with real values.
 */
export type RouteDecision =
  | {
      readonly type: 'dial';
      /** IPv4 address to connect to, never a name. */
      readonly address: string;
      readonly port: number;
      /** What answers there, for error texts: `kubelet of node edge-1`, `pod 10.244.0.5:8080`. */
      readonly subject: string;
    }
  | { readonly type: 'refuse'; readonly status: 403 | 503; readonly reason: string };

/** The target of one CONNECT request. */
export interface Target {
  /** Lower-cased name, dotted IPv4, or IPv6 without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Decides, synchronously, where a target is reached; filled from the API by node/. */
export interface RoutingTable {
  route(host: string, port: number): RouteDecision;
}

/** What the tunnel server has done since it was created; for `status`. */
export interface TunnelStatus {
  readonly isListening: boolean;
  /** Connections from kube-apiserver that are open now, those still being answered included. */
  readonly activeStreams: number;
  /** Streams that were answered with 200. */
  readonly acceptedStreams: number;
  /** Requests that were answered with anything else. */
  readonly refusedStreams: number;
  /** Payload bytes from kube-apiserver to targets. */
  readonly bytesToTargets: number;
  /** Payload bytes from targets to kube-apiserver. */
  readonly bytesFromTargets: number;
  readonly lastRefusal?: TunnelRefusal;
}

export interface TunnelRefusal {
  /** `edge-7:10250`; empty when the request could not be read. */
  readonly target: string;
  readonly status: number;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}
