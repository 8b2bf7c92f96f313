import { describe, expect, it } from 'vitest';
import { renderExposition } from '../../../src/base/exposition.ts';
import { createTunnelMetrics, renderTunnelMetrics } from '../../../src/tunnel/metrics.ts';
import type { TunnelStatus } from '../../../src/tunnel/types.ts';

const status: TunnelStatus = {
  isListening: true,
  activeStreams: 3,
  stalledStreams: 1,
  acceptedStreams: 5,
  refusedStreams: 1,
  bytesToTargets: 10,
  bytesFromTargets: 20,
  nodes: [
    {
      nodeName: 'edge-1',
      sessions: 2,
      connectedSince: 1,
      remoteAddress: '203.0.113.7',
      rttMs: 12.5,
      streams: 3,
      bytesToNode: 100,
      bytesFromNode: 2000,
      reconnects: 1,
      lastSeen: 5,
    },
    {
      nodeName: 'edge-2',
      sessions: 0,
      streams: 0,
      bytesToNode: 7,
      bytesFromNode: 8,
      reconnects: 0,
      lastSeen: 4,
      lastError: 'no frame for 45 s',
    },
  ],
};

describe('renderTunnelMetrics', () => {
  it('shows counters, a histogram and states of nodes', () => {
    let now = 0;
    const metrics = createTunnelMetrics(() => now);
    const quick = metrics.dials.begin();
    now = 20;
    metrics.dials.end('local', quick);
    const slow = metrics.dials.begin();
    const failing = metrics.dials.begin();
    metrics.dials.begin();
    now = 320;
    metrics.dials.end('agent', slow);
    metrics.dials.end('agent', failing, 'no-session');
    metrics.countRouting('node-name');
    metrics.countRouting('node-name');
    metrics.countReconnect('timeout');
    metrics.countDuplicate();
    metrics.countStalledStream();
    const lines = renderTunnelMetrics(status, metrics.read()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'mini_k8s_tunnel_ready_backends 1',
        'mini_k8s_tunnel_established_connections 3',
        'mini_k8s_tunnel_pending_dials 1',
        '# TYPE mini_k8s_tunnel_dial_duration_seconds histogram',
        'mini_k8s_tunnel_dial_duration_seconds_bucket{kind="local",result="ok",le="0.005"} 0',
        'mini_k8s_tunnel_dial_duration_seconds_bucket{kind="local",result="ok",le="0.025"} 1',
        'mini_k8s_tunnel_dial_duration_seconds_bucket{kind="agent",result="ok",le="0.1"} 0',
        'mini_k8s_tunnel_dial_duration_seconds_bucket{kind="agent",result="ok",le="0.5"} 1',
        'mini_k8s_tunnel_dial_duration_seconds_bucket{kind="agent",result="ok",le="+Inf"} 1',
        'mini_k8s_tunnel_dial_duration_seconds_sum{kind="agent",result="ok"} 0.3',
        'mini_k8s_tunnel_dial_duration_seconds_count{kind="agent",result="no-session"} 1',
        'mini_k8s_tunnel_dial_failure_count{reason="no-session"} 1',
        'mini_k8s_tunnel_routing_decisions_total{rule="node-name"} 2',
        'mini_k8s_tunnel_reconnects_total{reason="timeout"} 1',
        'mini_k8s_tunnel_duplicate_sessions_total 1',
        'mini_k8s_tunnel_stalled_streams 1',
        'mini_k8s_tunnel_stalled_streams_closed_total 1',
        'mini_k8s_tunnel_bytes_total{node="edge-1",direction="from_node"} 2000',
        'mini_k8s_tunnel_bytes_total{node="edge-2",direction="to_node"} 7',
        'mini_k8s_tunnel_rtt_seconds{node="edge-1"} 0.0125',
        'mini_k8s_tunnel_streams{node="edge-1"} 3',
        'mini_k8s_tunnel_sessions{node="edge-1"} 2',
        'mini_k8s_tunnel_sessions{node="edge-2"} 0',
      ]),
    );
    expect(lines.filter((line) => line.includes('rtt_seconds{'))).toHaveLength(1);
  });

  it('has nothing but lines of the format, each family once', () => {
    const text = renderTunnelMetrics(status, createTunnelMetrics(() => 0).read());
    expect(text.endsWith('\n')).toBe(true);
    const lines = text.trimEnd().split('\n');
    const shape = /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+)$/;
    expect(lines.filter((line) => !shape.test(line))).toEqual([]);
    const families = lines.filter((line) => line.startsWith('# TYPE'));
    expect(new Set(families).size).toBe(families.length);
  });

  it('escapes what a label may contain, and leaves out what has no sample', () => {
    const text = renderExposition([
      { name: 'a', help: 'A.', type: 'gauge', samples: [{ labels: { x: 'q"\\\n' }, value: 1 }] },
      { name: 'b', help: 'B.', type: 'counter', samples: [] },
    ]);
    expect(text).toBe('# HELP a A.\n# TYPE a gauge\na{x="q\\"\\\\\\n"} 1\n');
  });
});
