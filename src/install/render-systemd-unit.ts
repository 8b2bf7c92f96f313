import { environmentFile } from './paths.ts';

export interface UnitOptions {
  readonly executable: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly allowsNegativeOomScore: boolean;
}

/** A supervisor that hangs for this long is started again, seconds. */
const watchdogSeconds = 120;

/** The pods' grace period at a shutdown, the order of a stop behind it, and some reserve; seconds. */
const stopSeconds = 150;

/**
 * The service's unit.
 * @see https://www.freedesktop.org/software/systemd/man/252/systemd.service.html
 */
export function renderSystemdUnit(options: UnitOptions): string {
  const commandLine = [options.executable, options.command, ...options.args].map(quoteWord);
  const oomScore = options.allowsNegativeOomScore ? ['OOMScoreAdjust=-999'] : [];
  return [
    `# Written by "mini-k8s ${options.command} install", which replaces it; your own settings go into`,
    '# /etc/systemd/system/mini-k8s.service.d/*.conf',
    '[Unit]',
    `Description=mini-k8s ${options.command}`,
    '# Not network-online.target: a node starts without a network, and must not wait for a cable that is not there.',
    'After=network.target',
    `RequiresMountsFor=${options.dataDir} /var/lib/kubelet`,
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    '# Messages come from systemd-notify, a child of the supervisor.',
    'NotifyAccess=all',
    `ExecStart=${commandLine.join(' ')}`,
    `ExecReload=${quoteWord(options.executable)} reload`,
    `EnvironmentFile=-${environmentFile}`,
    '# What is for the person at a terminal; the log is on stderr, which would go the same way by default.',
    'StandardOutput=null',
    'StandardError=journal',
    '# The first start loads components and may be slow; a failing component is tried again by the supervisor.',
    'TimeoutStartSec=infinity',
    `TimeoutStopSec=${stopSeconds}`,
    'TimeoutAbortSec=10',
    `WatchdogSec=${watchdogSeconds}`,
    'Restart=always',
    'RestartSec=5',
    '# Containers outlive the supervisor; it ends its own processes itself, also those of a killed one.',
    'KillMode=process',
    'Delegate=yes',
    'OOMPolicy=continue',
    ...oomScore,
    'LimitNOFILE=1048576',
    'LimitNPROC=infinity',
    'TasksMax=infinity',
    '# No sandbox: file system namespaces would hide the mounts of volumes from the machine, and pods inherit every',
    '# seccomp filter, capability bound and no-new-privileges of the service.',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

/** systemd splits at blanks, and reads quotes, backslashes, `%` and `$` as its own. */
function quoteWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  if (/^[\w./:=,@%$+-]+$/.test(escaped)) return escaped;
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
