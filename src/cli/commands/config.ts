import { type CommandSpec, textOption } from '../command.ts';

export const configCommand: CommandSpec = {
  usage: 'config',
  description: 'print or check the configuration',
  commands: [
    {
      usage: 'default',
      description: 'print the default configuration, with every field',
      examples: ['mini-k8s config default > /etc/mini-k8s/config.yaml'],
      run: async ({ context }) => {
        const [{ defaultConfig }, { stringify }] = await Promise.all([
          import('../../config/parse.ts'),
          import('yaml'),
        ]);
        context.stdout.write(stringify(await defaultConfig()));
        return 0;
      },
    },
    {
      usage: 'validate [file]',
      description: 'check a configuration file, and print every problem at once',
      options: [{ flags: '--config <file>', description: 'the same as the argument' }],
      examples: ['mini-k8s config validate', 'mini-k8s config validate ./config.yaml'],
      run: async (invocation) => {
        const { readConfig } = await import('../../node/prepare.ts');
        const { defaultConfigFile } = await import('../../config/paths.ts');
        const file = invocation.args[0] ?? textOption(invocation, 'config') ?? defaultConfigFile;
        await readConfig({ configFile: file });
        invocation.context.stdout.write(`${file} is valid\n`);
        return 0;
      },
    },
  ],
};
