import { environmentFile, serviceLogFile } from './paths.ts';
import type { UnitOptions } from './render-systemd-unit.ts';

/** Between SIGTERM and SIGKILL: the pods' grace period, the order of a stop behind it, and some reserve; seconds. */
const stopSeconds = 150;

/**
 * The service's script; supervise-daemon starts a supervisor that ended again.
 * @see https://github.com/OpenRC/openrc/blob/0.45.2/supervise-daemon-guide.md
 */
export function renderOpenrcScript(options: UnitOptions): string {
  const { executable, command, args } = options;
  return `#!/sbin/openrc-run
# Written by "mini-k8s ${command} install", which replaces it; your own settings go into /etc/conf.d/mini-k8s
description="mini-k8s ${command}"
supervisor=supervise-daemon
command=${quoteWord(executable)}
command_args=${quoteWord([command, ...args].map(quoteWord).join(' '))}
output_log=/dev/null
error_log=${serviceLogFile}
respawn_delay=5
respawn_max=0
retry="TERM/${stopSeconds}"
rc_ulimit="-n 1048576"
# Containers outlive the supervisor: no cgroup is emptied when the service stops.
rc_cgroup_cleanup=no
extra_started_commands=reload

depend() {
	# Not need: some distributions have no service of that name.
	after localmount net firewall bootmisc
}

start_pre() {
	if [ -f ${environmentFile} ]; then
		set -a
		. ${environmentFile}
		set +a
	fi
}

reload() {
	ebegin "Reloading the configuration of mini-k8s"
	${quoteWord(executable)} reload
	eend $?
}

stop_pre() {
	# A machine that goes down takes its pods with it: they get their grace period now.
	if yesno "\${RC_GOINGDOWN}" && [ -d /run/mini-k8s ]; then
		: > /run/mini-k8s/end-pods
	fi
}
`;
}

/** For a shell. */
function quoteWord(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
