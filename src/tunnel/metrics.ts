import { type MetricFamily, renderExposition } from '../base/exposition.ts';
import {
  createDialTimes,
  type DialCounters,
  type DialTimes,
  dialFailureFamily,
  dialFamily,
} from './dial-times.ts';
import type { TunnelStatus } from './types.ts';

/** What happened, as counters. Everything that is a state is read from `TunnelStatus` instead. */
export interface TunnelMetrics {
  /** What this process dials (`local`), or asks an agent to (`agent`). */
  readonly dials: Pick<DialTimes, 'begin' | 'end'>;
  countRouting(rule: string): void;
  /** A session of a node that had one before; `reason`: why the one before ended. */
  countReconnect(reason: string): void;
  /** A session while another of the same node lives. */
  countDuplicate(): void;
  countStalledStream(): void;
  read(): TunnelCounters;
}

export interface TunnelCounters {
  readonly dials: DialCounters;
  readonly routing: ReadonlyMap<string, number>;
  readonly reconnects: ReadonlyMap<string, number>;
  readonly duplicateSessions: number;
  readonly stalledStreams: number;
}

/** `monotonicMs`: a clock that only goes forward. */
export function createTunnelMetrics(monotonicMs: () => number): TunnelMetrics {
  const dials = createDialTimes(monotonicMs);
  const routing = new Map<string, number>();
  const reconnects = new Map<string, number>();
  let duplicateSessions = 0;
  let stalledStreams = 0;
  return {
    dials,
    countRouting: (rule) => increment(routing, rule),
    countReconnect: (reason) => increment(reconnects, reason),
    countDuplicate: () => {
      duplicateSessions += 1;
    },
    countStalledStream: () => {
      stalledStreams += 1;
    },
    read: () => ({ dials: dials.read(), routing, reconnects, duplicateSessions, stalledStreams }),
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
    gauge('pending_dials', 'Dials that have no outcome yet.', counters.dials.pending),
    dialFamily(name('dial_duration_seconds'), counters.dials),
    dialFailureFamily(name('dial_failure_count'), counters.dials),
    labelled('routing_decisions_total', 'Routing decisions.', 'rule', counters.routing),
    labelled('reconnects_total', 'Sessions after the first.', 'reason', counters.reconnects),
    counter(
      'duplicate_sessions_total',
      'Sessions of nodes that had a living one.',
      counters.duplicateSessions,
    ),
    gauge('stalled_streams', 'Streams that nobody has read for 10 s.', status.stalledStreams),
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
