import type { Logger, LogLevel } from '../base/logger.ts';
import type { NodeEvent } from './events.ts';

/**
 * Writes into the operator's log what the engines only report: whoever reads the log weeks later sees no reporter.
 * Events of the supervisor are left out, since it logs them itself.
 */
export function logNodeEvent(logger: Logger, event: NodeEvent): void {
  const line = describeStep(event) ?? describeEngine(event) ?? describeStack(event);
  if (line !== undefined) logger[line.level](line.message);
}

type Line = { readonly level: LogLevel; readonly message: string } | undefined;

function describeStep(event: NodeEvent): Line {
  switch (event.type) {
    case 'step-finished':
      return {
        level: 'info',
        message: `${event.step} done after ${Math.round(event.elapsedMs)} ms`,
      };
    case 'ready':
      return { level: 'info', message: `${event.name} is Ready` };
    case 'cluster-ready':
      return { level: 'info', message: 'the node and all addons are Ready' };
    case 'not-ready':
      return { level: 'warn', message: `not Ready yet: ${event.messages.join('; ')}` };
    case 'clock-awaited':
      return { level: 'warn', message: `waiting for the right time: ${event.message}` };
    case 'reloaded':
      return { level: 'info', message: describeReload(event) };
    case 'reload-refused':
      return {
        level: 'error',
        message: `configuration not taken over: ${event.messages.join('; ')}`,
      };
    case 'stopping':
      return { level: 'info', message: `stopping: ${event.reason}` };
    default:
      return undefined;
  }
}

/** `took over spec.kubelet.maxPods; restarted kubelet`. */
export function describeReload(
  event: Omit<Extract<NodeEvent, { type: 'reloaded' }>, 'type'>,
): string {
  const { changed, restarted, notes } = event;
  return [
    changed.length === 0 ? 'nothing new in the configuration' : `took over ${changed.join(', ')}`,
    restarted.length === 0 ? 'restarted nothing' : `restarted ${restarted.join(', ')}`,
    ...notes,
  ].join('; ');
}

function describeEngine(event: NodeEvent): Line {
  switch (event.type) {
    case 'authority-created':
      return { level: 'info', message: `made the certificate authority ${event.name}` };
    case 'certificate-issued':
      return { level: 'info', message: `issued the certificate ${event.name} (${event.reason})` };
    case 'key-pair-created':
    case 'secret-created':
      return { level: 'info', message: `made the key ${event.name}` };
    case 'file-written':
      return {
        level: event.change === 'updated' ? 'info' : 'debug',
        message: `wrote ${event.path}`,
      };
    case 'host-setting-changed':
      return { level: 'info', message: `changed ${event.setting} of this machine` };
    case 'host-setting-skipped':
      return { level: 'debug', message: `left ${event.setting} as it is: ${event.reason}` };
    case 'import-finished':
      return { level: 'info', message: `took ${event.blobs} blobs from ${event.source}` };
    case 'import-waiting':
      return {
        level: 'info',
        message: `waiting for ${event.source}: ${event.why}; next try in ${event.retryInMs} ms`,
      };
    case 'source-failed':
      return { level: 'warn', message: `${event.source}: ${event.why}` };
    case 'unserved':
      return { level: 'warn', message: `no source has ${event.name}, which workers may ask for` };
    case 'linked':
      return { level: 'debug', message: `made ${event.path}` };
    case 'image-missing':
      return { level: 'warn', message: `no source has the image ${event.reference}` };
    case 'images-imported':
      return { level: 'info', message: `containerd took ${event.references.join(', ')}` };
    default:
      return undefined;
  }
}

function describeStack(event: NodeEvent): Line {
  switch (event.type) {
    case 'stack-applied':
      return {
        level: 'info',
        message: `applied stack ${event.name}: ${event.changed} changed, ${event.pruned} pruned`,
      };
    case 'stack-drift-repaired':
      return { level: 'info', message: `repaired ${event.object} of stack ${event.name}` };
    case 'stack-deleted':
      return { level: 'info', message: `deleted stack ${event.name}` };
    case 'stack-failed':
      return { level: 'warn', message: `stack ${event.name}: ${event.message}` };
    default:
      return undefined;
  }
}
