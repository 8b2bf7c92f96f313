import { ensureImages } from '../artifacts/images.ts';
import { riderImages } from '../artifacts/riders.ts';
import { openStore } from '../artifacts/store.ts';
import type { Logger, LogLevel } from '../base/logger.ts';
import { type Clock, untilAborted } from '../base/time.ts';
import type { Paths } from '../config/paths.ts';
import { ensurePki } from '../pki/ensure-pki.ts';
import type { Deployer } from '../stacks/deployer.ts';
import { processComponent } from '../supervisor/process.ts';
import type { Component } from '../supervisor/types.ts';
import type { TunnelServer } from '../tunnel/tunnel-server.ts';
import { endingPods } from './end-pods.ts';
import type { NodeEvent } from './events.ts';
import { keepCertificates } from './keep-certificates.ts';
import { logThreshold } from './log-threshold.ts';
import { loopComponent } from './loop-component.ts';
import { fillProcess, type SecretReader } from './plan-secrets.ts';
import type { NodePlan } from './plan-types.ts';

export interface NodeParts {
  readonly plan: NodePlan;
  /** For what of the plan only refers to a secret. */
  readonly secretOf: SecretReader;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The least of the components' own output that is worth the log. */
  readonly outputLevel: () => LogLevel | 'silent';
  readonly onEvent: (event: NodeEvent) => void;
}

export interface ControllerParts extends NodeParts {
  readonly deployer: Deployer;
  readonly tunnel: TunnelServer;
}

/** Name under which this data directory's processes are found again after a crash of the supervisor. */
export function instanceOf(paths: Paths): string {
  return paths.dataDir;
}

export function pidDir(paths: Paths): string {
  return `${paths.runDir}/pids`;
}

/** The plan's processes, and what runs inside this one: tunnel, image import, deployer. */
export function controllerParts(parts: ControllerParts): Component[] {
  return [
    parts.tunnel,
    ...processComponents(parts),
    // After the API is up: unpacking would take the one CPU from it, and nothing needs an image before.
    ...(parts.plan.runsWorkloads ? [imagesComponent(parts, ['containerd', 'kube-apiserver'])] : []),
    keepCertificates({
      clock: parts.clock,
      monotonicMs: () => performance.now(),
      ensure: () => ensurePki(parts.plan.pki, parts),
    }),
    loopComponent({
      name: 'deployer',
      // Pods that are there before their images would be pulled from a registry, or fail and back off.
      dependsOn: ['kube-apiserver', ...(parts.plan.runsWorkloads ? ['images'] : [])],
      clock: parts.clock,
      run: (signal) => parts.deployer.run(signal),
    }),
  ];
}

/** Every process of the plan. */
export function processComponents(parts: NodeParts): Component[] {
  return parts.plan.processes.map((spec) => {
    const component = processComponent(fillProcess(spec, parts.secretOf), {
      logDir: parts.paths.logDir,
      pidDir: pidDir(parts.paths),
      instance: instanceOf(parts.paths),
      logger: logThreshold(parts.logger, parts.outputLevel),
      clock: parts.clock,
    });
    return spec.name === 'containerd' ? endingPods(component, parts) : component;
  });
}

/** Imports what containerd does not have, once per start; ends with it. */
export function imagesComponent(parts: NodeParts, dependsOn: readonly string[]): Component {
  const { plan, paths } = parts;
  return oneShotComponent({
    name: 'images',
    dependsOn,
    clock: parts.clock,
    run: async (signal) => {
      const store = await openStore(paths.storeDir);
      await ensureImages([...plan.images, ...(await riderImages(store, plan.arch))], {
        store,
        containerd: {
          socket: paths.containerdSocket,
          ctr: `${paths.binDir}/ctr`,
          root: paths.containerdDir,
        },
        stateFile: `${paths.stateDir}/images.json`,
        onEvent: parts.onEvent,
        signal,
      });
    },
  });
}

interface OneShotOptions {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly clock: Clock;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** Work that is done once: ready when it is done, tried again when it fails, and kept as "running" until stopped. */
export function oneShotComponent(options: OneShotOptions): Component {
  const done = Promise.withResolvers<void>();
  return loopComponent({
    name: options.name,
    dependsOn: options.dependsOn,
    clock: options.clock,
    run: async (signal) => {
      await options.run(signal);
      done.resolve();
      await untilAborted(signal);
    },
    ready: () => done.promise,
  });
}
