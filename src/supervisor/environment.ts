/** Where a child looks for programs unless its spec says otherwise. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Carries the component's name in the environment of a supervised process (and of what it starts). */
export const componentVariable = 'MINI_K8S_COMPONENT';

/** Carries the supervisor's `instance`, so that two on one machine do not end each other's processes. */
export const instanceVariable = 'MINI_K8S_INSTANCE';

export interface EnvironmentOptions {
  readonly name: string;
  readonly instance: string;
  /** The spec's own variables; may replace PATH and HOME, not the markers. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The whole environment of a child. Nothing is inherited: neither NOTIFY_SOCKET and WATCHDOG_USEC, with
 * which a child would talk to systemd in our name, nor a proxy that is meant for downloads.
 */
export function childEnvironment(options: EnvironmentOptions): Record<string, string> {
  return {
    PATH: systemPath,
    HOME: '/root',
    ...options.env,
    [componentVariable]: options.name,
    [instanceVariable]: options.instance,
  };
}
