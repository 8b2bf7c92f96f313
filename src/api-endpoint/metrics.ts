import type { MetricFamily } from '../base/exposition.ts';
import type { ApiEndpointStatus } from './types.ts';

/** The balancer for Prometheus. Labels are the addresses of the API servers that are known now. Pure. */
export function apiEndpointFamilies(status: ApiEndpointStatus): MetricFamily[] {
  const { servers } = status;
  return [
    {
      name: name('server_healthy'),
      help: 'Whether the API server answered the last check.',
      type: 'gauge',
      samples: servers.map(({ address: server, health }) => ({
        labels: { server },
        value: Number(health === 'healthy'),
      })),
    },
    {
      name: name('connections'),
      help: 'Open connections to the API server.',
      type: 'gauge',
      samples: servers.map(({ address: server, connections }) => ({
        labels: { server },
        value: connections,
      })),
    },
    counter('accepted', 'Connections of clients on this node.', status.acceptedConnections),
    counter('refused', 'Connections that reached no API server.', status.refusedConnections),
    counter('cut', 'Connections that were cut when their API server died.', status.cutConnections),
  ];
}

function counter(what: string, help: string, value: number): MetricFamily {
  return { name: name(`${what}_connections_total`), help, type: 'counter', samples: [{ value }] };
}

function name(metric: string): string {
  return `mini_k8s_api_endpoint_${metric}`;
}
