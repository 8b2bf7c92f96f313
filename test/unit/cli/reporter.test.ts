import { describe, expect, it } from 'vitest';
import { createReporter } from '../../../src/cli/reporter.ts';
import type { NodeEvent } from '../../../src/node/events.ts';
import { type FakeStream, fakeStream, screenOf } from '../../support/fake-stream.ts';

function shown(stream: FakeStream, events: readonly NodeEvent[]): string {
  const reporter = createReporter(stream);
  for (const event of events) reporter.report(event);
  return stream.text();
}

const failure = (name: string, code: number, retryInMs: number): NodeEvent => ({
  type: 'component-terminated',
  name,
  termination: {
    exitCode: code,
    reason: 'Error',
    message: `exited with code ${code}`,
    finishedAt: 0,
  },
  lastOutput: ['first words', 'last words'],
  retryInMs,
});

const boot: readonly NodeEvent[] = [
  { type: 'step-started', step: 'components' },
  { type: 'step-finished', step: 'components', elapsedMs: 1234 },
  { type: 'component-starting', name: 'etcd' },
  { type: 'component-starting', name: 'containerd' },
  { type: 'component-ready', name: 'etcd', elapsedMs: 300 },
];

describe('reporter', () => {
  it('writes one plain line per finished step where there is no terminal', () => {
    expect(shown(fakeStream(), boot)).toBe('✓ components (1.2 s)\n✓ etcd (0.3 s)\n');
  });

  it('shows on a terminal what is under way, below the lines that stay', () => {
    const text = shown(fakeStream({ columns: 80 }), boot);
    expect(screenOf(text)).toBe('✓ components (1.2 s)\n✓ etcd (0.3 s)\n  containerd …');
    expect(text).toContain('  etcd, containerd …');
  });

  it('takes the bottom line back at the end', () => {
    const stream = fakeStream({ columns: 80 });
    const reporter = createReporter(stream);
    reporter.report({ type: 'step-started', step: 'components' });
    reporter.close();
    reporter.close();
    expect(screenOf(stream.text())).toBe('');
  });

  it('never lets the bottom line wrap', () => {
    const stream = fakeStream({ columns: 20 });
    shown(stream, [{ type: 'step-started', step: 'a step with a name that is too long' }]);
    expect(screenOf(stream.text()).length).toBe(19);
  });

  it('shows the last output again when a component fails in another way', () => {
    const events = [failure('a', 1, 500), failure('a', 2, 500), failure('a', 2, 500)];
    expect(shown(fakeStream(), events).split('last words')).toHaveLength(3);
  });

  it('shows the last output at the first failure of a streak only', () => {
    const events: NodeEvent[] = [
      failure('kubelet', 1, 500),
      failure('kubelet', 1, 1000),
      { type: 'component-ready', name: 'kubelet', elapsedMs: 10 },
      failure('kubelet', 2, 500),
    ];
    expect(shown(fakeStream(), events).split('\n')).toEqual([
      '✗ kubelet ended: exited with code 1; next try in 0.5 s',
      '    first words',
      '    last words',
      '✗ kubelet ended: exited with code 1; next try in 1.0 s',
      '✓ kubelet (0.0 s)',
      '✗ kubelet ended: exited with code 2; next try in 0.5 s',
      '    first words',
      '    last words',
      '',
    ]);
  });

  it('says nothing of the loops inside, except when one fails', () => {
    const events: NodeEvent[] = [
      { type: 'component-starting', name: 'deployer' },
      { type: 'component-ready', name: 'deployer', elapsedMs: 1 },
    ];
    expect(shown(fakeStream(), events)).toBe('');
    expect(shown(fakeStream({ columns: 80 }), events)).toBe('');
    expect(shown(fakeStream(), [failure('deployer', 1, 500)])).toContain('✗ deployer ended');
  });

  it('counts a long import in percent on a terminal and in quarters elsewhere', () => {
    const total = 400_000_000;
    const events: NodeEvent[] = [
      { type: 'step-started', step: 'components' },
      { type: 'import-started', source: 'bundle b.tar', totalBytes: total },
      ...[1, 30, 31, 60, 99, 100].map(
        (percent): NodeEvent => ({
          type: 'import-progress',
          source: 'bundle b.tar',
          doneBytes: (total / 100) * percent,
          totalBytes: total,
        }),
      ),
    ];
    expect(shown(fakeStream(), events)).toBe(
      '  bundle b.tar: 25 % of 400 MB\n  bundle b.tar: 50 % of 400 MB\n  bundle b.tar: 75 % of 400 MB\n',
    );
    const stream = fakeStream({ columns: 80 });
    const reporter = createReporter(stream);
    for (const event of events) reporter.report(event);
    expect(screenOf(stream.text())).toBe(
      '  components … [####################] 100 %, 400 of 400 MB',
    );
    reporter.report({ type: 'import-finished', source: 'bundle b.tar', blobs: 3, elapsedMs: 1 });
    expect(screenOf(stream.text())).toBe('  components …');
  });

  it('warns of an image that no source has, and tells of renewed certificates but not of new ones', () => {
    expect(
      shown(fakeStream(), [
        { type: 'image-missing', reference: 'example.test/a:1' },
        { type: 'certificate-issued', name: 'etcd-server', reason: 'missing' },
        { type: 'certificate-issued', name: 'etcd-server', reason: 'expiring' },
      ]),
    ).toBe(
      '! no source has the image example.test/a:1: it will be pulled from its registry\n' +
        '✓ certificate etcd-server issued again (expiring)\n',
    );
  });

  it('says why a download waits, once per reason, and what was given up', () => {
    const waiting = (why: string): NodeEvent => ({
      type: 'import-waiting',
      source: 'controller 10.0.0.4:9443',
      why,
      retryInMs: 4200,
    });
    const refused = waiting('10.0.0.4:9443 refuses connections');
    const finished: NodeEvent = {
      type: 'import-finished',
      source: 'controller 10.0.0.4:9443',
      blobs: 1,
      elapsedMs: 1,
    };
    expect(
      shown(fakeStream(), [
        refused,
        refused,
        waiting('10.0.0.4:9443 is busy'),
        finished,
        refused,
        { type: 'source-failed', source: 'controller 10.0.0.4:9443', why: 'Cannot download it' },
        { type: 'unserved', name: 'kubernetes 1.37.1 (amd64)' },
      ]).split('\n'),
    ).toEqual([
      '! waiting for controller 10.0.0.4:9443: 10.0.0.4:9443 refuses connections; next try in 4.2 s',
      '! waiting for controller 10.0.0.4:9443: 10.0.0.4:9443 is busy; next try in 4.2 s',
      '! waiting for controller 10.0.0.4:9443: 10.0.0.4:9443 refuses connections; next try in 4.2 s',
      '! controller 10.0.0.4:9443: Cannot download it',
      '! workers cannot have kubernetes 1.37.1 (amd64) from here',
      '',
    ]);
  });

  it('tells of manifests once the cluster is ready', () => {
    const applied: NodeEvent = { type: 'stack-applied', name: 'web', changed: 2, pruned: 1 };
    const ready: NodeEvent = { type: 'cluster-ready', elapsedMs: 9000 };
    const unchanged: NodeEvent = { type: 'stack-applied', name: 'web', changed: 0, pruned: 0 };
    expect(shown(fakeStream(), [applied])).toBe('');
    const text = shown(fakeStream(), [ready, applied, unchanged]);
    expect(text).toContain('✓ the cluster is ready (after 9.0 s)\n');
    expect(text.endsWith('✓ manifests web: 2 applied, 1 removed\n')).toBe(true);
  });

  it('takes a step that was broken off for no failure', () => {
    const broken: NodeEvent = { type: 'step-failed', step: 'components', elapsedMs: 100 };
    expect(shown(fakeStream(), [broken])).toBe('✗ components (0.1 s)\n');
    expect(shown(fakeStream(), [{ type: 'stopping', reason: 'SIGINT' }, broken])).toBe(
      'Stopping (SIGINT) …\n',
    );
  });

  it('says what is missing after a time', () => {
    expect(
      shown(fakeStream(), [
        { type: 'not-ready', messages: ['etcd: gone', 'coredns: 0 of 1'], elapsedMs: 180_000 },
      ]),
    ).toBe('! not Ready after 180.0 s, still trying:\n    etcd: gone\n    coredns: 0 of 1\n');
  });
});
