import { type CommandSpec, textOption } from '../command.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';
import { version } from '../version.ts';

export const versionCommand: CommandSpec = {
  usage: 'version',
  description: 'print the versions of mini-k8s and of everything that it runs',
  options: [{ flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' }],
  examples: ['mini-k8s version', 'mini-k8s version -o json'],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const { pinnedVersions } = await import('../../node/versions.ts');
    const versions = { 'mini-k8s': version, node: process.versions.node, ...pinnedVersions() };
    if (format !== 'text') {
      await printStructured(invocation.context.stdout, format, versions);
      return 0;
    }
    for (const [name, value] of Object.entries(versions)) {
      invocation.context.stdout.write(`${name.padEnd(16)} ${value}\n`);
    }
    return 0;
  },
};
