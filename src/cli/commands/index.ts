import type { CommandSpec } from '../command.ts';
import { artifactsCommand, imagesCommand } from './artifacts.ts';
import { bundleCommand } from './bundle.ts';
import { completionCommand } from './completion.ts';
import { configCommand } from './config.ts';
import { controllerCommand } from './controller.ts';
import { doctorCommand } from './doctor.ts';
import {
  logsCommand,
  restartCommand,
  startCommand,
  stopCommand,
  uninstallCommand,
} from './install.ts';
import { kubeconfigCommand } from './kubeconfig.ts';
import { nodeCommand } from './node.ts';
import { ctrCommand, etcdctlCommand, kubectlCommand } from './passthrough.ts';
import { reloadCommand } from './reload.ts';
import { resetCommand } from './reset.ts';
import { statusCommand } from './status.ts';
import { tokenCommand } from './token.ts';
import { tunnelCommand } from './tunnel.ts';
import { versionCommand } from './version.ts';
import { workerCommand } from './worker.ts';

/** Every command, in the order of the help text. */
export const commands: readonly CommandSpec[] = [
  controllerCommand,
  workerCommand,
  tokenCommand,
  nodeCommand,
  statusCommand,
  logsCommand,
  tunnelCommand,
  doctorCommand,
  kubectlCommand,
  kubeconfigCommand,
  configCommand,
  reloadCommand,
  artifactsCommand,
  imagesCommand,
  bundleCommand,
  ctrCommand,
  etcdctlCommand,
  startCommand,
  stopCommand,
  restartCommand,
  resetCommand,
  uninstallCommand,
  completionCommand(() => commands),
  versionCommand,
];
