import {
  type CommandSpec,
  configOptions,
  configSource,
  dataDirOption,
  nodeOptions,
  textOption,
} from '../command.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';

const defaultCommand: CommandSpec = {
  usage: 'default',
  description: 'print the default configuration, with every field',
  examples: ['mini-k8s config default > /etc/mini-k8s/config.yaml'],
  run: async ({ context }) => {
    const { renderDefaultFile } = await import('../render-config.ts');
    context.stdout.write(await renderDefaultFile());
    return 0;
  },
};

const showCommand: CommandSpec = {
  usage: 'show',
  description: 'print the configuration that holds here, from files, environment and flags',
  options: [
    { flags: '--origin', description: 'say where each value comes from' },
    { flags: '-o, --output <format>', description: 'yaml or json (default: yaml)' },
    ...configOptions,
    ...nodeOptions,
  ],
  examples: [
    'mini-k8s config show --origin',
    'mini-k8s config show --set spec.api.port=8443 -o json',
  ],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output') ?? 'yaml');
    const [{ inspectConfiguration }, { renderOrigins, withoutSecrets }] = await Promise.all([
      import('../../node/inspect-configuration.ts'),
      import('../render-config.ts'),
    ]);
    const { config, origins } = await inspectConfiguration({
      ...configSource(invocation),
      ...dataDirOption(invocation),
    });
    const shown = withoutSecrets(config);
    const { stdout } = invocation.context;
    if (invocation.options['origin'] === true)
      stdout.write(await renderOrigins(shown, origins, format));
    else await printStructured(stdout, format === 'text' ? 'yaml' : format, shown);
    return 0;
  },
};

const validateCommand: CommandSpec = {
  usage: 'validate [file]',
  description: 'check the configuration, and print every problem at once',
  options: [...configOptions, ...nodeOptions],
  examples: ['mini-k8s config validate', 'mini-k8s config validate ./config.yaml'],
  run: async (invocation) => {
    const { inspectConfiguration } = await import('../../node/inspect-configuration.ts');
    const { defaultConfigFile } = await import('../../config/paths.ts');
    const source = configSource(invocation);
    const configFile = invocation.args[0] ?? source.configFile;
    const { files } = await inspectConfiguration({
      ...source,
      ...dataDirOption(invocation),
      isForAnybody: true,
      // A file that is named need not be this machine's.
      isForElsewhere: invocation.args[0] !== undefined,
      ...(configFile === undefined ? {} : { configFile }),
    });
    const subject =
      files.length === 0
        ? `there is no ${defaultConfigFile}: the defaults are`
        : `${files.join(', ')} ${files.length === 1 ? 'is' : 'are'}`;
    invocation.context.stdout.write(`${subject} valid\n`);
    return 0;
  },
};

const schemaCommand: CommandSpec = {
  usage: 'schema',
  description: 'print the JSON schema of the configuration, by which editors complete it',
  examples: ['mini-k8s config schema > /etc/mini-k8s/config.schema.json'],
  run: async ({ context }) => {
    const { renderJsonSchema } = await import('../../config/json-schema.ts');
    context.stdout.write(renderJsonSchema());
    return 0;
  },
};

const variablesCommand: CommandSpec = {
  usage: 'variables',
  description: 'list the fields and the environment variables that set them',
  run: async ({ context }) => {
    const { renderVariables } = await import('../render-config.ts');
    context.stdout.write(await renderVariables());
    return 0;
  },
};

export const configCommand: CommandSpec = {
  usage: 'config',
  description: 'print or check the configuration',
  commands: [defaultCommand, showCommand, validateCommand, schemaCommand, variablesCommand],
};
