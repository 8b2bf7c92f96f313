import { describe, expect, it } from 'vitest';
import { apiEndpointFamilies } from '../../../src/api-endpoint/metrics.ts';
import { renderExposition } from '../../../src/base/exposition.ts';
import { agentFamilies } from '../../../src/tunnel/agent-metrics.ts';
import { createDialTimes } from '../../../src/tunnel/dial-times.ts';
import type { TunnelAgentStatus } from '../../../src/tunnel/types.ts';

const status: TunnelAgentStatus = {
  acceptedStreams: 5,
  refusedStreams: 1,
  controllers: [
    {
      address: '10.0.0.4:9443',
      isConnected: true,
      connectedSince: 1,
      rttMs: 40,
      ...{ streams: 2, bytesSent: 100, bytesReceived: 200, reconnects: 3 },
    },
    {
      address: '10.0.0.5:9443',
      isConnected: false,
      ...{ streams: 0, bytesSent: 0, bytesReceived: 0, reconnects: 0 },
    },
  ],
};

describe('the metrics of a worker', () => {
  it('are about its controllers and its own dials', () => {
    let now = 0;
    const dials = createDialTimes(() => now);
    const startedAt = dials.begin();
    dials.begin();
    dials.begin();
    now = 50;
    dials.end('local', startedAt);
    dials.end('local', startedAt, 'target-failed');
    const lines = renderExposition(agentFamilies(status, dials.read())).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'mini_k8s_tunnel_agent_known_server_count 2',
        'mini_k8s_tunnel_agent_open_server_connections 1',
        'mini_k8s_tunnel_agent_open_endpoint_connections 2',
        'mini_k8s_tunnel_agent_pending_dials 1',
        'mini_k8s_tunnel_agent_dial_duration_seconds_bucket{kind="local",result="ok",le="0.025"} 0',
        'mini_k8s_tunnel_agent_dial_duration_seconds_bucket{kind="local",result="ok",le="0.1"} 1',
        'mini_k8s_tunnel_agent_endpoint_dial_failure_total{reason="target-failed"} 1',
        'mini_k8s_tunnel_agent_accepted_streams_total 5',
        'mini_k8s_tunnel_agent_refused_streams_total 1',
        'mini_k8s_tunnel_agent_sessions{controller="10.0.0.4:9443"} 1',
        'mini_k8s_tunnel_agent_sessions{controller="10.0.0.5:9443"} 0',
        'mini_k8s_tunnel_agent_rtt_seconds{controller="10.0.0.4:9443"} 0.04',
        'mini_k8s_tunnel_agent_streams{controller="10.0.0.4:9443"} 2',
        'mini_k8s_tunnel_agent_bytes_total{controller="10.0.0.4:9443",direction="to_controller"} 100',
        'mini_k8s_tunnel_agent_bytes_total{controller="10.0.0.4:9443",direction="from_controller"} 200',
        'mini_k8s_tunnel_agent_reconnects_total{controller="10.0.0.4:9443"} 3',
      ]),
    );
    expect(lines.filter((line) => line.includes('rtt_seconds{'))).toHaveLength(1);
  });

  it('are about its balancer', () => {
    const text = renderExposition(
      apiEndpointFamilies({
        listening: ['127.0.0.1:6443'],
        activeConnections: 4,
        acceptedConnections: 9,
        refusedConnections: 2,
        cutConnections: 1,
        servers: [
          { address: 'a:6443', origin: 'configured', health: 'healthy', since: 0, connections: 4 },
          { address: 'b:6443', origin: 'learned', health: 'dead', since: 0, connections: 0 },
        ],
      }),
    );
    expect(text.split('\n').filter((line) => !line.startsWith('#'))).toEqual([
      'mini_k8s_api_endpoint_server_healthy{server="a:6443"} 1',
      'mini_k8s_api_endpoint_server_healthy{server="b:6443"} 0',
      'mini_k8s_api_endpoint_connections{server="a:6443"} 4',
      'mini_k8s_api_endpoint_connections{server="b:6443"} 0',
      'mini_k8s_api_endpoint_accepted_connections_total 9',
      'mini_k8s_api_endpoint_refused_connections_total 2',
      'mini_k8s_api_endpoint_cut_connections_total 1',
      '',
    ]);
  });
});
