import type { Duplex } from 'node:stream';

/** A byte stream whose directions end apart: a TCP socket opened with `allowHalfOpen`, or a stream of a session. */
export interface ByteStream extends Duplex {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Ends after everything that was written, then destroys. */
  destroySoon(): void;
  /** Tells the other side that this is no orderly end, and drops what was not sent. */
  resetAndDestroy(): this;
}

/** A status line that is not 200. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/**
 * Where a CONNECT target is reached. `refuse` becomes the answer's status line, whose reason phrase is all that
 * kube-apiserver shows to its user: it must say what is wrong, with real values.
 */
export type RouteDecision = DialDecision | AgentDecision | RefuseDecision;

/** Dialled by this process. */
export interface DialDecision {
  readonly type: 'dial';
  /** IPv4 address to connect to, never a name. */
  readonly address: string;
  readonly port: number;
  /** What answers there, for error texts: `kubelet of node edge-1`, `pod 10.244.0.5:8080`. */
  readonly subject: string;
  /** Which rule of the table decided, for the metrics: `node-name`, `pod-cidr`. */
  readonly rule?: string;
}

/** Dialled by the agent of a node. */
export interface AgentDecision {
  readonly type: 'agent';
  /** Whose session carries it. */
  readonly nodeName: string;
  /** What the agent is asked for: its own node name, or an IPv4 address that is its to reach. */
  readonly host: string;
  readonly port: number;
  readonly subject: string;
  readonly rule?: string;
}

export interface RefuseDecision {
  readonly type: 'refuse';
  readonly status: 403 | 503;
  readonly reason: string;
  readonly rule?: string;
}

/** The target of one CONNECT request. */
export interface Target {
  /** Lower-cased name, dotted IPv4, or IPv6 without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Decides where a target is reached; filled from the API by node/. */
export interface RoutingTable {
  /** At once, but for an address that only the API can tell whose it is: a promise then, which never rejects. */
  route(host: string, port: number): RouteDecision | Promise<RouteDecision>;
}

/** What the tunnel server has done since it was created; for `status`. */
export interface TunnelStatus {
  readonly isListening: boolean;
  /** Connections from kube-apiserver that are open now, those still being answered included. */
  readonly activeStreams: number;
  /** Streams to nodes that have bytes waiting which nobody has read for 10 s. */
  readonly stalledStreams: number;
  /** Streams that were answered with 200. */
  readonly acceptedStreams: number;
  /** Requests that were answered with anything else. */
  readonly refusedStreams: number;
  /** Payload bytes from kube-apiserver to targets. */
  readonly bytesToTargets: number;
  /** Payload bytes from targets to kube-apiserver. */
  readonly bytesFromTargets: number;
  readonly lastRefusal?: TunnelRefusal;
  /** Nodes whose agents are connected, or were: by name. */
  readonly nodes: readonly TunnelNodeStatus[];
}

export interface TunnelRefusal {
  /** `edge-7:10250`; empty when the request could not be read. */
  readonly target: string;
  readonly status: number;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** One node's tunnel as this controller sees it. Times are milliseconds since the epoch. */
export interface TunnelNodeStatus {
  readonly nodeName: string;
  /** Sessions that live: 0 when the node is gone, 2 and more while a new one replaces an old one. */
  readonly sessions: number;
  /** Of the newest session, which takes all new streams; absent when there is none. */
  readonly connectedSince?: number;
  readonly remoteAddress?: string;
  readonly rttMs?: number;
  /** Streams of all its sessions. */
  readonly streams: number;
  /** Payload since this process began to know the node, both with the bytes of CONNECT and its answers. */
  readonly bytesToNode: number;
  readonly bytesFromNode: number;
  /** Sessions after the first. */
  readonly reconnects: number;
  /** When the last frame of it arrived. */
  readonly lastSeen: number;
  /** Why the last session that failed did. */
  readonly lastError?: string;
}

/** A worker's tunnel as the worker sees it. */
export interface TunnelAgentStatus {
  readonly controllers: readonly TunnelControllerStatus[];
  /** Streams that were answered with 200, and with anything else, since the agent was created. */
  readonly acceptedStreams: number;
  readonly refusedStreams: number;
  readonly lastRefusal?: TunnelRefusal;
}

/** The agent's session to one controller. Times are milliseconds since the epoch. */
export interface TunnelControllerStatus {
  /** `host:port`, as configured. */
  readonly address: string;
  readonly isConnected: boolean;
  readonly connectedSince?: number;
  readonly rttMs?: number;
  readonly streams: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Sessions after the first. */
  readonly reconnects: number;
  readonly lastError?: string;
  /** Absent while connected or connecting. */
  readonly nextTryAt?: number;
}
