import { describe, expect, it } from 'vitest';
import { byteCount } from '../../../src/cli/quantities.ts';
import { renderTunnelReport } from '../../../src/cli/render-tunnel-report.ts';
import type { TunnelReport } from '../../../src/node/tunnel-report.ts';
import { fakeStream, screenOf } from '../../support/fake-stream.ts';

const now = Date.UTC(2026, 10, 21, 12, 0, 0);
const ago = (ms: number) => new Date(now - ms).toISOString();

const controller: TunnelReport = {
  node: 'cp',
  role: 'controller',
  tunnels: [
    {
      peer: 'edge-1',
      isConnected: true,
      since: ago(3_725_000),
      rttMs: 12.4,
      ...{ streams: 3, bytesSent: 812, bytesReceived: 34_512_345, reconnects: 1 },
      lastError: 'no frame for 45 s',
      site: 'nat-203.0.113.7',
      remoteAddress: '203.0.113.7',
      lastSeen: ago(1_000),
    },
    {
      peer: 'edge-22',
      isConnected: false,
      ...{ streams: 0, bytesSent: 0, bytesReceived: 0, reconnects: 0 },
      lastError: 'the connection was reset',
      site: 'main',
      lastSeen: ago(42_000),
    },
  ],
};

const worker: TunnelReport = {
  node: 'edge-1',
  role: 'worker',
  tunnels: [
    {
      peer: '10.0.0.4:9443',
      isConnected: false,
      ...{ streams: 0, bytesSent: 0, bytesReceived: 0, reconnects: 0 },
      lastError: '10.0.0.4:9443 refuses connections',
      nextTry: ago(-8_000),
    },
  ],
};

describe('renderTunnelReport', () => {
  it('shows a controller its nodes, and in words what is wrong', () => {
    expect(
      renderTunnelReport(controller, fakeStream(), now),
    ).toBe(`Tunnels of cp (controller): 1 of 2 nodes connected

    NODE     SINCE  RTT    STREAMS  RECONNECTS  SENT   RECEIVED  SITE             FROM
  ✓ edge-1   1h2m   12 ms  3        1           812 B  35 MB     nat-203.0.113.7  203.0.113.7
  ✗ edge-22                0        0           0 B    0 B       main

  edge-1, before: no frame for 45 s
  edge-22 is not connected: last seen 42s ago; the connection was reset
`);
  });

  it('shows a worker its controllers', () => {
    expect(
      renderTunnelReport(worker, fakeStream(), now),
    ).toBe(`Tunnels of edge-1 (worker): 0 of 1 controllers connected

    CONTROLLER     SINCE  RTT  STREAMS  RECONNECTS  SENT  RECEIVED
  ✗ 10.0.0.4:9443              0        0           0 B   0 B

  10.0.0.4:9443 is not connected: 10.0.0.4:9443 refuses connections; next try in 8s
`);
  });

  it('says so when there is no tunnel at all', () => {
    const none = (report: TunnelReport) =>
      renderTunnelReport({ ...report, tunnels: [] }, fakeStream(), now);
    expect(none(controller)).toMatch(/^No worker is or was connected to cp \(mini-k8s token/);
    expect(none(worker)).toMatch(/^The tunnel agent of edge-1 does not run/);
  });

  it('cuts rows on a narrow terminal, whatever is wrong stays readable, and marks are coloured', () => {
    const text = renderTunnelReport(controller, fakeStream({ columns: 40 }), now);
    expect(text).toContain('  \u001b[32m✓\u001b[0m edge-1');
    expect(text).toContain('  \u001b[31m✗\u001b[0m edge-22');
    const rows = screenOf(text)
      .split('\n')
      .filter((line) => /NODE|[✓✗]/.test(line));
    expect(rows).toHaveLength(3);
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(40);
    expect(rows[1]).toBe('  ✓ edge-1   1h2m   12 ms  3        1  …');
    expect(text).toContain('last seen 42s ago; the connection was reset');
  });
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [3e18, '3000000 TB'],
])('byteCount(%d) is %s', (bytes, text) => {
  expect(byteCount(bytes)).toBe(text);
});
