import { describe, expect, it } from 'vitest';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import { tunnelReport } from '../../../src/node/tunnel-report.ts';

const at = Date.UTC(2026, 10, 21, 12, 0, 0);

const common: NodeStatus = {
  version: '0.1.0',
  kubernetesVersion: '1.37.1',
  node: { name: 'cp', role: 'controller', address: '10.0.0.4', isReady: true, message: '' },
  supervisor: { pid: 1, startedAt: '', dataDir: '', builtFrom: 'source' },
  ...{ components: [], addons: [], stacks: [], certificates: [] },
};

describe('tunnelReport', () => {
  it('has a row for each node on a controller, whether it is connected or not', () => {
    const tunnel: NonNullable<NodeStatus['tunnel']> = {
      isListening: true,
      ...{ activeStreams: 0, stalledStreams: 0, acceptedStreams: 0, refusedStreams: 0 },
      ...{ bytesToTargets: 0, bytesFromTargets: 0 },
      nodes: [
        {
          nodeName: 'edge-1',
          sessions: 2,
          connectedSince: at,
          remoteAddress: '203.0.113.7',
          rttMs: 12.5,
          streams: 3,
          bytesToNode: 100,
          bytesFromNode: 2000,
          reconnects: 1,
          lastSeen: at + 1,
          site: 'nat-203.0.113.7',
        },
        {
          nodeName: 'edge-2',
          sessions: 0,
          ...{ streams: 0, bytesToNode: 7, bytesFromNode: 8, reconnects: 0 },
          lastSeen: at,
          lastError: 'no frame for 45 s',
        },
      ],
    };
    expect(tunnelReport({ ...common, tunnel })).toEqual({
      node: 'cp',
      role: 'controller',
      tunnels: [
        {
          peer: 'edge-1',
          isConnected: true,
          since: '2026-11-21T12:00:00.000Z',
          rttMs: 12.5,
          streams: 3,
          bytesSent: 100,
          bytesReceived: 2000,
          reconnects: 1,
          site: 'nat-203.0.113.7',
          remoteAddress: '203.0.113.7',
          lastSeen: '2026-11-21T12:00:00.001Z',
        },
        {
          peer: 'edge-2',
          isConnected: false,
          streams: 0,
          bytesSent: 7,
          bytesReceived: 8,
          reconnects: 0,
          lastError: 'no frame for 45 s',
          lastSeen: '2026-11-21T12:00:00.000Z',
        },
      ],
    });
  });

  it('has a row for each controller on a worker', () => {
    const agent: NonNullable<NodeStatus['agent']> = {
      ...{ acceptedStreams: 0, refusedStreams: 0 },
      controllers: [
        {
          address: '10.0.0.4:9443',
          isConnected: false,
          ...{ streams: 0, bytesSent: 5, bytesReceived: 6, reconnects: 2 },
          lastError: '10.0.0.4:9443 refuses connections',
          nextTryAt: at,
        },
      ],
    };
    const node = { ...common.node, name: 'edge-1', role: 'worker' };
    expect(tunnelReport({ ...common, node, agent })).toEqual({
      node: 'edge-1',
      role: 'worker',
      tunnels: [
        {
          peer: '10.0.0.4:9443',
          isConnected: false,
          streams: 0,
          bytesSent: 5,
          bytesReceived: 6,
          reconnects: 2,
          lastError: '10.0.0.4:9443 refuses connections',
          nextTry: '2026-11-21T12:00:00.000Z',
        },
      ],
    });
  });
});
