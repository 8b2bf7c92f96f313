import { Command, CommanderError } from 'commander';
import type { CommandSpec, Invocation } from './command.ts';
import { commands } from './commands/index.ts';
import { exitCodes, printError } from './print-error.ts';
import type { CliContext } from './streams.ts';
import { version } from './version.ts';

/**
 * Runs one command line.
 * @param args without the executable and script names.
 * @param table the commands that there are; tests bring ones that do nothing.
 * @returns the exit code: 0, 1 (something to mend), 2 (usage), 70 (a bug), or a child's own.
 */
export async function run(
  args: readonly string[],
  context: CliContext,
  table: readonly CommandSpec[] = commands,
): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = buildProgram(table, {
    context,
    setExitCode: (code) => {
      exitCode = code;
    },
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return printError(error, context.stderr);
  }
}

function buildProgram(table: readonly CommandSpec[], wiring: Wiring): Command {
  const { context } = wiring;
  const program = new Command('mini-k8s')
    .description('Kubernetes in one executable, for nodes with 1 vCPU and 1 GB.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('(mini-k8s --help shows what there is)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    });
  for (const command of table) addCommand(program, command, wiring);
  return program;
}

/** An option between the words of a command would be the outer one's, and be lost without a word. */
function requireOptionsBehind(command: Command): void {
  for (let outer = command.parent; outer !== null; outer = outer.parent) {
    const given = outer.options.find(
      (option) => outer?.getOptionValueSource(option.attributeName()) === 'cli',
    );
    if (given !== undefined) {
      command.error(`error: option '${given.flags}' belongs behind '${command.name()}'`);
    }
  }
}

interface Wiring {
  readonly context: CliContext;
  readonly setExitCode: (code: number) => void;
}

function addCommand(parent: Command, spec: CommandSpec, wiring: Wiring): void {
  const command = parent.command(spec.usage).description(spec.description).exitOverride();
  command.copyInheritedSettings(parent);
  for (const { flags, description, isRepeatable } of spec.options ?? []) {
    if (isRepeatable === true) command.option(flags, description, collect);
    else command.option(flags, description);
  }
  if (spec.details !== undefined) {
    command.addHelpText('after', `\n${spec.details.join('\n')}`);
  }
  if (spec.examples !== undefined) {
    command.addHelpText(
      'after',
      `\nExamples:\n${spec.examples.map((line) => `  ${line}`).join('\n')}`,
    );
  }
  if (spec.passesThrough === true) {
    command.passThroughOptions().allowUnknownOption().helpOption(false).allowExcessArguments();
  }
  for (const child of spec.commands ?? []) addCommand(command, child, wiring);
  const handler = spec.run;
  if (handler === undefined) return;
  command.action(async (...received: unknown[]) => {
    const options = command.opts<Invocation['options']>();
    requireOptionsBehind(command);
    const positional = received.slice(0, -2).flat() as string[];
    wiring.setExitCode(await handler({ context: wiring.context, options, args: positional }));
  });
}

/** Of an option that is given more than once, every value in its order. */
function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
