import type { NodeEvent } from '../node/events.ts';
import { describeReload } from '../node/log-node-event.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** What an event changes on the screen. */
export interface Drawing {
  /** Lines that stay. */
  readonly lines?: readonly string[];
  /** Work that has begun or ended, by the words that show it. */
  readonly begins?: string;
  readonly ends?: string;
}

/** What is known from earlier events. */
export interface DrawingContext {
  readonly stream: OutputStream;
  /** This component has failed since it was last ready: its output was shown. */
  readonly isFailingAgain: boolean;
  /** The cluster was ready once: what happens to manifests now is somebody's doing. */
  readonly isSettled: boolean;
  /** What ends with an error now ends because it was asked to. */
  readonly isStopping: boolean;
}

/** What a person sees of one event. */
export function drawEvent(event: NodeEvent, context: DrawingContext): Drawing {
  return (
    drawStep(event, context) ??
    drawComponent(event, context) ??
    drawArtifact(event, context) ??
    drawStack(event, context) ??
    {}
  );
}

const waitingForReady = 'waiting for the node and the addons';

function drawStep(event: NodeEvent, { stream, isStopping }: DrawingContext): Drawing | undefined {
  const done = paint(stream, 'green', '✓');
  switch (event.type) {
    case 'step-started':
      return { begins: event.step };
    case 'step-finished':
      return { ends: event.step, lines: [`${done} ${event.step} (${seconds(event.elapsedMs)})`] };
    case 'step-failed':
      return {
        ends: event.step,
        lines: isStopping
          ? []
          : [`${failedMark(stream)} ${event.step} (${seconds(event.elapsedMs)})`],
      };
    case 'clock-awaited':
      return { lines: [`${warning(stream)} waiting for the right time: ${event.message}`] };
    case 'reloaded':
      return { lines: [`${done} ${describeReload(event)}`] };
    case 'reload-refused':
      return { lines: event.messages.map((message) => `${failedMark(stream)} ${message}`) };
    case 'components-ready':
      return { begins: waitingForReady };
    case 'ready':
      return { lines: [`${done} ${event.name} is Ready (after ${seconds(event.elapsedMs)})`] };
    case 'not-ready':
      return {
        lines: [
          `${warning(stream)} not Ready after ${seconds(event.elapsedMs)}, still trying:`,
          ...event.messages.map((message) => `    ${message}`),
        ],
      };
    case 'cluster-ready':
      return { ends: waitingForReady, lines: readyLines(event.elapsedMs, done) };
    case 'stopping':
      return { ends: waitingForReady, lines: [`Stopping (${event.reason}) …`] };
    default:
      return undefined;
  }
}

function drawComponent(event: NodeEvent, context: DrawingContext): Drawing | undefined {
  const done = paint(context.stream, 'green', '✓');
  switch (event.type) {
    case 'component-starting':
      return isQuiet(event.name) ? {} : { begins: event.name };
    case 'component-ready':
      return isQuiet(event.name)
        ? {}
        : { ends: event.name, lines: [`${done} ${event.name} (${seconds(event.elapsedMs)})`] };
    case 'component-stopped':
      return isQuiet(event.name)
        ? {}
        : {
            ends: event.name,
            lines: [`${done} stopped ${event.name} (${seconds(event.elapsedMs)})`],
          };
    case 'component-terminated':
      return event.termination.reason === 'Stopped'
        ? { ends: event.name }
        : { ends: event.name, lines: terminationLines(event, context) };
    case 'orphan-ended':
      return { lines: [`${done} ended ${event.name} (pid ${event.pid}) of an earlier run`] };
    default:
      return undefined;
  }
}

function drawArtifact(event: NodeEvent, { stream }: DrawingContext): Drawing | undefined {
  switch (event.type) {
    case 'image-missing':
      return {
        lines: [
          `${warning(stream)} no source has the image ${event.reference}: it will be pulled from its registry`,
        ],
      };
    case 'import-waiting':
      return {
        lines: [
          `${warning(stream)} waiting for ${event.source}: ${event.why}; next try in ${seconds(event.retryInMs)}`,
        ],
      };
    case 'source-failed':
      return { lines: [`${warning(stream)} ${event.source}: ${event.why}`] };
    case 'unserved':
      return { lines: [`${warning(stream)} workers cannot have ${event.name} from here`] };
    case 'certificate-issued':
      // At the first start all are missing, and that step has its own line.
      return event.reason === 'missing'
        ? {}
        : {
            lines: [
              `${paint(stream, 'green', '✓')} certificate ${event.name} issued again (${event.reason})`,
            ],
          };
    default:
      return undefined;
  }
}

function drawStack(event: NodeEvent, { stream, isSettled }: DrawingContext): Drawing | undefined {
  const done = paint(stream, 'green', '✓');
  switch (event.type) {
    case 'stack-failed':
      return { lines: [`${failedMark(stream)} manifests ${event.name}: ${event.message}`] };
    case 'stack-applied':
      return isSettled && event.changed + event.pruned > 0
        ? {
            lines: [
              `${done} manifests ${event.name}: ${event.changed} applied, ${event.pruned} removed`,
            ],
          }
        : {};
    case 'stack-deleted':
      return { lines: [`${done} manifests ${event.name}: all removed`] };
    case 'stack-drift-repaired':
      return { lines: [`${done} manifests ${event.name}: put ${event.object} back`] };
    default:
      return undefined;
  }
}

/** Loops of this process: no news for a person while they work. */
function isQuiet(name: string): boolean {
  return quietComponents.has(name);
}

const quietComponents: ReadonlySet<string> = new Set([
  'allowed-targets',
  'api-servers',
  'certificates',
  'cluster-routes',
  'csr-approver',
  'deployer',
  'gateway',
  'join-document',
  'local-node',
  'node-sites',
  'removed-nodes',
  'status',
  'tunnel',
]);

/** The whole output at the first failure, and one line for each that follows. */
function terminationLines(
  event: Extract<NodeEvent, { type: 'component-terminated' }>,
  { stream, isFailingAgain }: DrawingContext,
): string[] {
  const { termination } = event;
  const how = termination.message ?? termination.signal ?? `exit code ${termination.exitCode}`;
  const retry = event.retryInMs === undefined ? '' : `; next try in ${seconds(event.retryInMs)}`;
  return [
    `${failedMark(stream)} ${event.name} ended: ${how}${retry}`,
    ...(isFailingAgain ? [] : event.lastOutput.map((text) => paint(stream, 'dim', `    ${text}`))),
  ];
}

function readyLines(elapsedMs: number, done: string): string[] {
  return [
    `${done} the cluster is ready (after ${seconds(elapsedMs)})`,
    '',
    '  mini-k8s kubectl get pods -A      what runs',
    '  mini-k8s status                   components, memory, certificates',
    '  mini-k8s kubeconfig admin         a kubeconfig for other machines',
    '',
  ];
}

function failedMark(stream: OutputStream): string {
  return paint(stream, 'red', '✗');
}

function warning(stream: OutputStream): string {
  return paint(stream, 'yellow', '!');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
