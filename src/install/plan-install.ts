import {
  environmentFile,
  installedExecutable,
  openrcScriptFile,
  previousExecutable,
  schemaFile,
  systemdUnitFile,
} from './paths.ts';
import { renderEnvironment } from './render-environment.ts';
import { renderOpenrcScript } from './render-openrc-script.ts';
import { renderSystemdUnit } from './render-systemd-unit.ts';
import type { InstallPlan, InstallRequest, ServiceManagerName } from './types.ts';

/** Everything that installing puts on a machine. Pure. */
export function planInstall(request: InstallRequest, manager: ServiceManagerName): InstallPlan {
  const owner = { uid: 0, gid: 0 };
  const options = { ...request, executable: installedExecutable };
  const service =
    manager === 'systemd'
      ? { path: systemdUnitFile, content: renderSystemdUnit(options), mode: 0o644, ...owner }
      : { path: openrcScriptFile, content: renderOpenrcScript(options), mode: 0o755, ...owner };
  const environment = {
    path: environmentFile,
    content: renderEnvironment(request.environment),
    mode: 0o600,
    ...owner,
  };
  const schema =
    request.schema === undefined
      ? []
      : [{ path: schemaFile, content: request.schema, mode: 0o644, ...owner }];
  return {
    manager,
    command: request.command,
    dataDir: request.dataDir,
    executable: installedExecutable,
    previousExecutable,
    files: [...(environment.content === '' ? [] : [environment]), ...schema, service],
    ...(request.user === undefined ? {} : { user: request.user }),
  };
}
