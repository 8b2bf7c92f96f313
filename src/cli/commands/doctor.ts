import { UserError } from '../../base/errors.ts';
import { type CommandSpec, dataDirOption, nodeOptions, textOption } from '../command.ts';
import { renderDoctor } from '../render-doctor.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

export const doctorCommand: CommandSpec = {
  usage: 'doctor',
  description: 'find out what is wrong: which controller and port answers, and what is in the way',
  options: [
    {
      flags: '--connectivity',
      description: 'check every way from this machine to the controllers',
    },
    {
      flags: '--server <host[:port]>',
      description: 'check this controller instead of those that the machine knows',
    },
    { flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' },
    ...nodeOptions,
  ],
  examples: [
    'mini-k8s doctor --connectivity',
    'mini-k8s doctor --connectivity --server controller.example',
  ],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    if (invocation.options['connectivity'] !== true) {
      throw new UserError({
        what: 'examine this machine',
        why: 'it is not said what to look at',
        fix: 'mini-k8s doctor --connectivity',
      });
    }
    const { checkConnectivity } = await import('../../node/doctor.ts');
    const { env, stdout } = invocation.context;
    const server = textOption(invocation, 'server');
    const report = await checkConnectivity(
      { ...dataDirOption(invocation), ...(server === undefined ? {} : { server }), env },
      new AbortController().signal,
    );
    if (format === 'text') stdout.write(renderDoctor(report, stdout));
    else await printStructured(stdout, format, report);
    return report.isHealthy ? 0 : 1;
  },
};
