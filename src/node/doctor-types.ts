import type { HostPort } from '../base/host-port.ts';

/** Something that a node has to reach: the gateway (join, artifacts, tunnel) or a kube-apiserver. */
export interface DoctorEndpoint {
  readonly kind: 'gateway' | 'api';
  readonly address: HostPort;
  /** Only named by the API, perhaps for others: that this machine does not reach it is no fault. */
  readonly isLearned: boolean;
}

/** What was found at one endpoint, in the order in which it was looked at; what follows a failure is missing. */
export interface EndpointProbe {
  readonly endpoint: DoctorEndpoint;
  /** `proxy.corp:3128`; left out when the connection goes straight. */
  readonly proxy?: string;
  readonly tcp: TcpFinding;
  readonly route?: RouteFinding;
  readonly tls?: TlsFinding;
  readonly answer?: AnswerFinding;
  /** Whether a request of several packets is answered too. */
  readonly bigAnswer?: AnswerFinding;
  /** Of a gateway: whether a connection with the tunnel's protocol comes through. */
  readonly tunnel?: TunnelFinding;
}

export type TcpFinding =
  | { readonly type: 'connected'; readonly elapsedMs: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** The way that packets take to the endpoint, or to the proxy. */
export interface RouteFinding {
  readonly interface: string;
  readonly mtuBytes: number;
  /** A router on the way has said that packets must be smaller than the interface would have them. */
  readonly isLearned: boolean;
}

export type TlsFinding =
  | {
      readonly type: 'established';
      /** Undefined when there is no CA to check with; `''` when all is well; else OpenSSL's or Node's code. */
      readonly problem: string | undefined;
      readonly subject: string;
      readonly issuer: string;
      readonly notBeforeMs: number;
      readonly notAfterMs: number;
      /** Of the last certificate of the chain, as tokens have it. */
      readonly authorityPin: string;
    }
  | { readonly type: 'failed'; readonly message: string };

export type AnswerFinding =
  | {
      readonly type: 'answered';
      readonly status: number;
      /** Of the server's clock less ours, milliseconds; undefined when it did not say. */
      readonly clockDifferenceMs?: number;
    }
  | { readonly type: 'failed'; readonly message: string };

export type TunnelFinding =
  | { readonly type: 'established'; readonly protocol: string }
  | { readonly type: 'failed'; readonly message: string };

export type DoctorState = 'ok' | 'warn' | 'fail';

/** One line of the doctor's. */
export interface DoctorCheck {
  /** `10.0.0.4:9443`. */
  readonly address: string;
  readonly check: 'tcp' | 'tls' | 'answer' | 'clock' | 'packet-size' | 'tunnel';
  readonly state: DoctorState;
  /** What was found: `answers in 3 ms through proxy proxy.corp:3128`. */
  readonly what: string;
  /** Only where something is wrong. */
  readonly why?: string;
  readonly fix?: string;
}

/** What `mini-k8s doctor --connectivity -o json` prints. */
export interface DoctorReport {
  /** Where the addresses come from, as in "controllers of <source>". */
  readonly source: string;
  /** Nothing failed; warnings may be there. */
  readonly isHealthy: boolean;
  readonly checks: readonly DoctorCheck[];
}
