import {
  type CommandSpec,
  dataDirOption,
  type Invocation,
  listOption,
  nodeOptions,
  textOption,
} from '../command.ts';
import { printStructured, structuredFormat } from '../structured-output.ts';
import { renderTable } from '../table.ts';

const createCommand: CommandSpec = {
  usage: 'create',
  description: 'print a new token: a secret, with which machines join until it expires',
  options: [
    { flags: '--ttl <duration>', description: '1m to 30d (default: 1h)' },
    { flags: '--role <role>', description: 'worker or controller (default: worker)' },
    { flags: '--description <text>', description: 'shown by mini-k8s token list' },
    {
      flags: '--server <host:port...>',
      description:
        'where the machines reach the controllers (default: spec.api.externalAddress, or the address of this node)',
    },
    ...nodeOptions,
  ],
  examples: [
    'mini-k8s token create',
    'mini-k8s token create --ttl 7d --description "rack 12" > token',
    'mini-k8s token create --server edge.example.com:9443 192.0.2.10',
  ],
  run: async (invocation) => {
    const { createToken } = await import('../../node/tokens.ts');
    const { stdout, stderr } = invocation.context;
    const created = await createToken({
      ...(await tokenOptions(invocation)),
      ...given(invocation, 'ttl'),
      ...given(invocation, 'role'),
      ...given(invocation, 'description'),
      servers: listOption(invocation, 'server'),
    });
    stdout.write(`${created.token}\n`);
    if (stderr.isTTY === true) {
      stderr.write(
        `\nIt expires in ${created.expiresIn}. On the new machine, as root:\n\n  mini-k8s ${created.role} --token ${created.token}\n\n`,
      );
    }
    return 0;
  },
};

const listCommand: CommandSpec = {
  usage: 'list',
  description: 'show the tokens that hold, without their secrets',
  options: [
    { flags: '-o, --output <format>', description: 'text, json or yaml (default: text)' },
    ...nodeOptions,
  ],
  examples: ['mini-k8s token list', 'mini-k8s token list -o json'],
  run: async (invocation) => {
    const format = structuredFormat(textOption(invocation, 'output'));
    const { listTokens } = await import('../../node/tokens.ts');
    const tokens = await listTokens(await tokenOptions(invocation));
    const { stdout } = invocation.context;
    if (format === 'text') stdout.write(renderTokens(tokens));
    else await printStructured(stdout, format, tokens);
    return 0;
  },
};

const revokeCommand: CommandSpec = {
  usage: 'revoke <id>',
  description: 'end a token before its time; machines that have joined with it stay',
  options: nodeOptions,
  examples: ['mini-k8s token revoke abc123'],
  run: async (invocation) => {
    const { revokeToken } = await import('../../node/tokens.ts');
    const [id = ''] = invocation.args;
    await revokeToken({ ...(await tokenOptions(invocation)), id });
    invocation.context.stdout.write(`revoked ${id}\n`);
    return 0;
  },
};

/** Tokens with which machines join the cluster; on controllers. */
export const tokenCommand: CommandSpec = {
  usage: 'token',
  description: 'make, show and revoke tokens with which machines join',
  examples: [
    'mini-k8s token create --ttl 30m',
    'mini-k8s token create | ssh root@edge-7 mini-k8s worker --token -',
    'mini-k8s token list',
    'mini-k8s token revoke abc123',
  ],
  commands: [createCommand, listCommand, revokeCommand],
};

interface TokenRow {
  readonly id: string;
  readonly role: string | undefined;
  readonly expiresIn: string;
  readonly description: string;
}

/** A table; the description is last because it is of any length. */
function renderTokens(tokens: readonly TokenRow[]): string {
  if (tokens.length === 0) return 'There is no token. mini-k8s token create makes one.\n';
  const rows = [
    ['ID', 'ROLE', 'EXPIRES IN', 'DESCRIPTION'],
    ...tokens.map(({ id, role, expiresIn, description }) => [
      id,
      role ?? '-',
      expiresIn,
      description,
    ]),
  ];
  return renderTable(rows);
}

async function tokenOptions(invocation: Invocation) {
  const { systemClock } = await import('../../base/time.ts');
  return { ...dataDirOption(invocation), clock: systemClock };
}

function given(invocation: Invocation, name: string): Record<string, string> {
  const value = textOption(invocation, name);
  return value === undefined ? {} : { [name]: value };
}
