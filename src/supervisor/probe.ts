import { execFile } from 'node:child_process';
import { connect, type NetConnectOpts } from 'node:net';
import { errorCode, errorMessage } from '../base/errors.ts';
import { sleep } from '../base/time.ts';
import { systemPath } from './environment.ts';
import { probeHttp } from './probe-http.ts';
import type { ProbeResult, ReadinessProbe } from './types.ts';

export interface ProbeTiming {
  /** Pause after the first failed probe; grows by half each time, milliseconds. */
  readonly intervalMs: number;
  readonly maxIntervalMs: number;
  /** A probe without an answer for this long has failed, milliseconds. */
  readonly timeoutMs: number;
}

export const defaultProbeTiming: ProbeTiming = {
  intervalMs: 50,
  maxIntervalMs: 500,
  timeoutMs: 5_000,
};

export interface WaitUntilReadyOptions {
  readonly probe: ReadinessProbe;
  readonly startTimeoutMs: number;
  readonly timing: ProbeTiming;
  readonly signal: AbortSignal;
}

/**
 * Probes, often at first, until it is ready. The last probe is given its full time, as one that is cut
 * short would say nothing about the reason; so this may take `timing.timeoutMs` longer.
 * @throws Error with the last probe's result after `startTimeoutMs`, or the signal's reason.
 */
export async function waitUntilReady(options: WaitUntilReadyOptions): Promise<void> {
  const { probe, startTimeoutMs, timing, signal } = options;
  const deadline = performance.now() + startTimeoutMs;
  let intervalMs = timing.intervalMs;
  for (;;) {
    signal.throwIfAborted();
    const result = await probeOnce(probe, { timeoutMs: timing.timeoutMs, signal });
    signal.throwIfAborted();
    if (result.isReady) return;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new Error(`not ready ${startTimeoutMs / 1000} s after its start: ${result.message}`);
    }
    await sleep(Math.min(intervalMs, leftMs), signal);
    intervalMs = Math.min(timing.maxIntervalMs, intervalMs * 1.5);
  }
}

export interface ProbeOptions {
  /** At least 1. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Looks once; whatever goes wrong is a result, not an exception. */
export async function probeOnce(
  probe: ReadinessProbe,
  { timeoutMs, signal }: ProbeOptions,
): Promise<ProbeResult> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const result = await look(probe, limit);
  if (result.isReady || !limit.aborted) return result;
  return { isReady: false, message: `${probeSubject(probe)}: no answer within ${timeoutMs} ms` };
}

function look(probe: ReadinessProbe, limit: AbortSignal): Promise<ProbeResult> {
  switch (probe.type) {
    case 'none':
      return Promise.resolve({ isReady: true });
    case 'http':
    case 'https':
      return probeHttp(probe, limit);
    case 'tcp':
      return probeSocket(probe, { host: probe.host, port: probe.port, signal: limit });
    case 'unix':
      return probeSocket(probe, { path: probe.path, signal: limit });
    case 'exec':
      return probeExec(probe, limit);
  }
}

function probeSubject(probe: ReadinessProbe): string {
  switch (probe.type) {
    case 'none':
      return 'none';
    case 'http':
    case 'https':
      return `GET ${probe.url}`;
    case 'tcp':
      return `connecting to ${probe.host}:${probe.port}`;
    case 'unix':
      return `connecting to ${probe.path}`;
    case 'exec':
      return `running ${probe.executable}`;
  }
}

function probeSocket(
  probe: ReadinessProbe,
  target: NetConnectOpts & { readonly signal: AbortSignal },
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect(target);
    const finish = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => finish({ isReady: true }));
    // Not once: destroying a socket that an abort already destroys may report twice.
    socket.on('error', (error) => {
      finish({ isReady: false, message: `${probeSubject(probe)} failed: ${errorText(error)}` });
    });
  });
}

function probeExec(
  probe: Extract<ReadinessProbe, { type: 'exec' }>,
  limit: AbortSignal,
): Promise<ProbeResult> {
  const options = {
    signal: limit,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024,
    cwd: '/',
    env: { PATH: systemPath },
  } as const;
  return new Promise((resolve) => {
    execFile(probe.executable, probe.args, options, (error, stdout, stderr) => {
      if (error === null) return resolve({ isReady: true });
      const how =
        typeof error.code === 'number' ? `exited with code ${error.code}` : errorText(error);
      const last = `${stdout}\n${stderr}`.trim().split('\n').at(-1)?.slice(0, 500) ?? '';
      resolve({
        isReady: false,
        message: `${probeSubject(probe)}: ${how}${last === '' ? '' : `: ${last}`}`,
      });
    });
  });
}

function errorText(error: Error): string {
  return errorCode(error) ?? errorMessage(error);
}
