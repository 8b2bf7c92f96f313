import type { CommandSpec } from '../command.ts';
import { configCommand } from './config.ts';
import { controllerCommand } from './controller.ts';
import { kubeconfigCommand } from './kubeconfig.ts';
import { ctrCommand, etcdctlCommand, kubectlCommand } from './passthrough.ts';
import { resetCommand } from './reset.ts';
import { statusCommand } from './status.ts';
import { versionCommand } from './version.ts';

/** Every command, in the order of the help text. */
export const commands: readonly CommandSpec[] = [
  controllerCommand,
  statusCommand,
  kubectlCommand,
  kubeconfigCommand,
  configCommand,
  ctrCommand,
  etcdctlCommand,
  resetCommand,
  versionCommand,
];
