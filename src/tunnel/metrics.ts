import type { DialFailure } from './dial-target.ts';
import { type MetricFamily, renderExposition } from './render-exposition.ts';
import type { TunnelStatus } from './types.ts';

/** kube-apiserver's buckets for the same thing, seconds: both can be laid over each other. */
const dialBuckets = [0.005, 0.025, 0.1, 0.5, 2.5, 12.5] as const;

/** What happened, as counters. Everything that is a state is read from `TunnelStatus` instead. */
export interface TunnelMetrics {
  /** A dial began; the returned function is called once, when it is over. */
  startDial(): (failure?: DialFailure) => void;
  countRouting(rule: string): void;
  /** A session of a node that had one before; `reason`: why the one before ended. */
  countReconnect(reason: string): void;
  /** A session while another of the same node lives. */
  countDuplicate(): void;
  countStalledStream(): void;
  read(): TunnelCounters;
}

export interface TunnelCounters {
  readonly pendingDials: number;
  /** Dials that took at most the bucket's seconds, each bucket with those before it. */
  readonly dialBuckets: readonly { readonly le: number; readonly count: number }[];
  readonly dialCount: number;
  readonly dialSeconds: number;
  readonly dialFailures: ReadonlyMap<string, number>;
  readonly routing: ReadonlyMap<string, number>;
  readonly reconnects: ReadonlyMap<string, number>;
  readonly duplicateSessions: number;
  readonly stalledStreams: number;
}

/** `monotonicMs`: a clock that only goes forward. */
export function createTunnelMetrics(monotonicMs: () => number): TunnelMetrics {
  const counts = dialBuckets.map(() => 0);
  const maps = {
    dialFailures: new Map<string, number>(),
    routing: new Map<string, number>(),
    reconnects: new Map<string, number>(),
  };
  const totals = { pendingDials: 0, dialCount: 0, dialSeconds: 0 };
  let duplicateSessions = 0;
  let stalledStreams = 0;
  const observe = (seconds: number) => {
    totals.dialCount += 1;
    totals.dialSeconds += seconds;
    for (const [i, le] of dialBuckets.entries())
      if (seconds <= le) counts[i] = (counts[i] ?? 0) + 1;
  };
  return {
    startDial: () => {
      const startedAt = monotonicMs();
      totals.pendingDials += 1;
      return (failure) => {
        totals.pendingDials -= 1;
        if (failure === undefined) observe((monotonicMs() - startedAt) / 1000);
        else increment(maps.dialFailures, failure);
      };
    },
    countRouting: (rule) => increment(maps.routing, rule),
    countReconnect: (reason) => increment(maps.reconnects, reason),
    countDuplicate: () => {
      duplicateSessions += 1;
    },
    countStalledStream: () => {
      stalledStreams += 1;
    },
    read: () => ({
      ...{ ...totals, ...maps, duplicateSessions, stalledStreams },
      dialBuckets: dialBuckets.map((le, i) => ({ le, count: counts[i] ?? 0 })),
    }),
  };
}

function increment(counts: Map<string, number>, label: string): void {
  counts.set(label, (counts.get(label) ?? 0) + 1);
}

/**
 * Prometheus' text format, with names next to Konnectivity's (`konnectivity_network_proxy_server_…`).
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function renderTunnelMetrics(status: TunnelStatus, counters: TunnelCounters): string {
  return renderExposition([...serverFamilies(status, counters), ...nodeFamilies(status)]);
}

function serverFamilies(status: TunnelStatus, counters: TunnelCounters): MetricFamily[] {
  const connected = status.nodes.filter((node) => node.sessions > 0).length;
  return [
    gauge('ready_backends', 'Nodes whose agent is connected.', connected),
    gauge('established_connections', 'Open connections of kube-apiserver.', status.activeStreams),
    gauge('pending_dials', 'Dials that have no outcome yet.', counters.pendingDials),
    {
      name: name('dial_duration_seconds'),
      help: 'Time of successful dials.',
      type: 'histogram',
      samples: [
        ...counters.dialBuckets.map(({ le, count }) => ({
          suffix: '_bucket',
          labels: { le: String(le) },
          value: count,
        })),
        { suffix: '_bucket', labels: { le: '+Inf' }, value: counters.dialCount },
        { suffix: '_sum', value: counters.dialSeconds },
        { suffix: '_count', value: counters.dialCount },
      ],
    },
    labelled('dial_failure_count', 'Dials that failed.', 'reason', counters.dialFailures),
    labelled('routing_decisions_total', 'Routing decisions.', 'rule', counters.routing),
    labelled('reconnects_total', 'Sessions after the first.', 'reason', counters.reconnects),
    counter(
      'duplicate_sessions_total',
      'Sessions of nodes that had a living one.',
      counters.duplicateSessions,
    ),
    counter(
      'stalled_streams_closed_total',
      'Streams closed because nobody read them.',
      counters.stalledStreams,
    ),
  ];
}

function nodeFamilies(status: TunnelStatus): MetricFamily[] {
  const { nodes } = status;
  return [
    {
      name: name('bytes_total'),
      help: 'Bytes carried to and from a node.',
      type: 'counter',
      samples: nodes.flatMap(({ nodeName: node, bytesToNode, bytesFromNode }) => [
        { labels: { node, direction: 'to_node' }, value: bytesToNode },
        { labels: { node, direction: 'from_node' }, value: bytesFromNode },
      ]),
    },
    {
      name: name('rtt_seconds'),
      help: 'Last measured round trip to a node.',
      type: 'gauge',
      samples: nodes.flatMap(({ nodeName: node, rttMs }) =>
        rttMs === undefined ? [] : [{ labels: { node }, value: rttMs / 1000 }],
      ),
    },
    {
      name: name('streams'),
      help: 'Open streams to a node.',
      type: 'gauge',
      samples: nodes.map(({ nodeName: node, streams }) => ({ labels: { node }, value: streams })),
    },
    {
      name: name('sessions'),
      help: 'Sessions of a node: 2 while a new one replaces an old one.',
      type: 'gauge',
      samples: nodes.map(({ nodeName: node, sessions }) => ({ labels: { node }, value: sessions })),
    },
  ];
}

function name(metric: string): string {
  return `mini_k8s_tunnel_${metric}`;
}

function gauge(metric: string, help: string, value: number): MetricFamily {
  return { name: name(metric), help, type: 'gauge', samples: [{ value }] };
}

function counter(metric: string, help: string, value: number): MetricFamily {
  return { name: name(metric), help, type: 'counter', samples: [{ value }] };
}

function labelled(
  metric: string,
  help: string,
  label: string,
  counts: ReadonlyMap<string, number>,
): MetricFamily {
  const samples = [...counts].map(([value, count]) => ({
    labels: { [label]: value },
    value: count,
  }));
  return { name: name(metric), help, type: 'counter', samples };
}
