import type { NodeEvent } from '../node/events.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** Renders events for the person at the terminal. */
export interface Reporter {
  readonly report: (event: NodeEvent) => void;
  /** Ends a line that is still being drawn. */
  close(): void;
}

/** ✓/✗ per step with its time, drawn over on a terminal; one plain line per finished step elsewhere. */
export function createReporter(stream: OutputStream): Reporter {
  const isTerminal = stream.isTTY === true;
  let pending = '';
  const clear = () => {
    if (pending !== '') stream.write('\r\u001b[2K');
    pending = '';
  };
  const line = (text: string) => {
    clear();
    stream.write(`${text}\n`);
  };
  const begin = (text: string) => {
    if (!isTerminal) return;
    clear();
    pending = `  ${text} …`;
    stream.write(paint(stream, 'dim', pending));
  };
  return {
    report: (event) => {
      const drawing = draw(event, stream);
      if (drawing === undefined) return;
      if ('doing' in drawing) begin(drawing.doing);
      else for (const text of drawing.lines) line(text);
    },
    close: clear,
  };
}

/** What an event looks like: lines that stay, or what is being done right now. */
type Drawing = { readonly lines: readonly string[] } | { readonly doing: string } | undefined;

function draw(event: NodeEvent, stream: OutputStream): Drawing {
  const done = paint(stream, 'green', '✓');
  const failed = paint(stream, 'red', '✗');
  switch (event.type) {
    case 'step-started':
      return { doing: event.step };
    case 'step-finished':
      return { lines: [`${done} ${event.step} (${seconds(event.elapsedMs)})`] };
    case 'step-failed':
      return { lines: [`${failed} ${event.step} (${seconds(event.elapsedMs)})`] };
    case 'ready':
      return { lines: [`${done} ${event.name} is Ready (after ${seconds(event.elapsedMs)})`] };
    case 'cluster-ready':
      return { lines: readyLines(event.elapsedMs, stream) };
    case 'stack-failed':
      return { lines: [`${failed} manifests ${event.name}: ${event.message}`] };
    case 'orphan-ended':
      return { lines: [`${done} ended ${event.name} (pid ${event.pid}) of an earlier run`] };
    case 'stopping':
      return { lines: [`Stopping (${event.reason}) …`] };
    default:
      return drawComponent(event, stream);
  }
}

function drawComponent(event: NodeEvent, stream: OutputStream): Drawing {
  const done = paint(stream, 'green', '✓');
  switch (event.type) {
    case 'component-starting':
      return isQuiet(event.name) ? undefined : { doing: `starting ${event.name}` };
    case 'component-ready':
      return isQuiet(event.name)
        ? undefined
        : { lines: [`${done} ${event.name} (${seconds(event.elapsedMs)})`] };
    case 'component-stopped':
      return isQuiet(event.name)
        ? undefined
        : { lines: [`${done} stopped ${event.name} (${seconds(event.elapsedMs)})`] };
    case 'component-terminated':
      return event.termination.reason === 'Stopped'
        ? undefined
        : { lines: terminationLines(event, stream) };
    default:
      return undefined;
  }
}

/** Loops of this process: no news for a person. */
function isQuiet(name: string): boolean {
  return ['tunnel', 'status', 'csr-approver', 'deployer', 'local-endpoints', 'local-node'].includes(
    name,
  );
}

function terminationLines(
  event: Extract<NodeEvent, { type: 'component-terminated' }>,
  stream: OutputStream,
): string[] {
  const { termination } = event;
  const how = termination.message ?? termination.signal ?? `exit code ${termination.exitCode}`;
  const retry = event.retryInMs === undefined ? '' : `; next try in ${seconds(event.retryInMs)}`;
  return [
    `${paint(stream, 'red', '✗')} ${event.name} ended: ${how}${retry}`,
    ...event.lastOutput.map((text) => paint(stream, 'dim', `    ${text}`)),
  ];
}

function readyLines(elapsedMs: number, stream: OutputStream): string[] {
  return [
    `${paint(stream, 'green', '✓')} the cluster is ready (after ${seconds(elapsedMs)})`,
    '',
    '  mini-k8s kubectl get pods -A      what runs',
    '  mini-k8s status                   components, memory, certificates',
    '  mini-k8s kubeconfig admin         a kubeconfig for other machines',
    '',
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
