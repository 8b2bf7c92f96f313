import type { MetricFamily } from '../base/exposition.ts';
import { type DialCounters, dialFailureFamily, dialFamily } from './dial-times.ts';
import type { TunnelAgentStatus, TunnelControllerStatus } from './types.ts';

/**
 * A worker's tunnel for Prometheus, with names next to those of Konnectivity's agent. Labels are the addresses of the
 * controllers that are known now. Pure.
 */
export function agentFamilies(status: TunnelAgentStatus, dials: DialCounters): MetricFamily[] {
  const { controllers } = status;
  const connected = controllers.filter(({ isConnected }) => isConnected).length;
  const streams = controllers.reduce((sum, controller) => sum + controller.streams, 0);
  return [
    gauge('known_server_count', 'Controllers that this node should be connected to.', [
      { value: controllers.length },
    ]),
    gauge('open_server_connections', 'Controllers that it is connected to.', [
      { value: connected },
    ]),
    gauge('open_endpoint_connections', 'Open streams, of all controllers.', [{ value: streams }]),
    gauge('pending_dials', 'Dials on this node that have no outcome yet.', [
      { value: dials.pending },
    ]),
    dialFamily(name('dial_duration_seconds'), dials),
    dialFailureFamily(name('endpoint_dial_failure_total'), dials),
    counter('accepted_streams_total', 'Streams that were connected.', [
      { value: status.acceptedStreams },
    ]),
    counter('refused_streams_total', 'Streams that were answered with an error.', [
      { value: status.refusedStreams },
    ]),
    ...controllerFamilies(controllers),
  ];
}

function controllerFamilies(controllers: readonly TunnelControllerStatus[]): MetricFamily[] {
  const each = (value: (controller: TunnelControllerStatus) => number | undefined) =>
    controllers.flatMap((controller) => {
      const found = value(controller);
      if (found === undefined) return [];
      return [{ labels: { controller: controller.address }, value: found }];
    });
  return [
    gauge(
      'sessions',
      'Whether there is a session to the controller.',
      each(({ isConnected }) => Number(isConnected)),
    ),
    gauge('rtt_seconds', 'Last measured round trip.', each(seconds)),
    gauge(
      'streams',
      'Open streams of the controller.',
      each((controller) => controller.streams),
    ),
    counter(
      'bytes_total',
      'Bytes carried to and from the controller.',
      controllers.flatMap(({ address: controller, bytesSent, bytesReceived }) => [
        { labels: { controller, direction: 'to_controller' }, value: bytesSent },
        { labels: { controller, direction: 'from_controller' }, value: bytesReceived },
      ]),
    ),
    counter(
      'reconnects_total',
      'Sessions after the first.',
      each(({ reconnects }) => reconnects),
    ),
  ];
}

function seconds({ rttMs }: TunnelControllerStatus): number | undefined {
  return rttMs === undefined ? undefined : rttMs / 1000;
}

function name(metric: string): string {
  return `mini_k8s_tunnel_agent_${metric}`;
}

function gauge(metric: string, help: string, samples: MetricFamily['samples']): MetricFamily {
  return { name: name(metric), help, type: 'gauge', samples };
}

function counter(metric: string, help: string, samples: MetricFamily['samples']): MetricFamily {
  return { name: name(metric), help, type: 'counter', samples };
}
