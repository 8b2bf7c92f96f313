/** The name of the service, its unit and its script. */
export const serviceName = 'mini-k8s';

export const installedExecutable = '/usr/local/bin/mini-k8s';
export const previousExecutable = '/usr/local/lib/mini-k8s/previous';
export const settingsDir = '/etc/mini-k8s';
/** Environment of the service; a proxy's address may hold a password. */
export const environmentFile = `${settingsDir}/environment`;
/** Beside the configuration: the default file names it by this name. */
export const schemaFile = `${settingsDir}/config.schema.json`;
export const recordFile = `${settingsDir}/install.json`;
export const systemdUnitFile = `/etc/systemd/system/${serviceName}.service`;
export const openrcScriptFile = `/etc/init.d/${serviceName}`;
/** Where the service writes on machines without a journal. */
export const serviceLogFile = `/var/log/${serviceName}.log`;
