import { describe, expect, it } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { fakeContext } from '../../support/fake-stream.ts';

async function cli(...args: string[]) {
  const context = fakeContext();
  const exitCode = await run(args, context);
  return { exitCode, stdout: context.stdout.text(), stderr: context.stderr.text() };
}

describe('run', () => {
  it.each([['--help'], ['-h'], ['help'], ['controller', '--help'], ['help', 'status']])(
    'helps with %s %s',
    async (...args) => {
      const { exitCode, stdout, stderr } = await cli(...args.filter((arg) => arg !== undefined));
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toContain('Usage: mini-k8s');
    },
  );

  it.each([
    ...['worker', 'token', 'token create', 'token list', 'token revoke', 'node', 'node remove'],
    ...['kubeconfig admin', 'kubeconfig create'],
  ])('shows how %s is used', async (command) => {
    const { stdout } = await cli(...command.split(' '), '--help');
    expect(stdout).toMatch(new RegExp(`\nExamples:\n.*mini-k8s ${command}`, 's'));
  });

  it('prints its version', async () => {
    expect(await cli('--version')).toEqual({ exitCode: 0, stdout: '0.0.0-source\n', stderr: '' });
  });

  it.each([
    [['--nonsense'], "unknown option '--nonsense'"],
    [['controller', '--no-worklods'], '(Did you mean --no-workloads?)'],
    [['contoller'], '(Did you mean controller?)'],
    [['config', 'valdate'], '(Did you mean validate?)'],
    [['controller', '--config'], "option '--config <file>' argument missing"],
    [['status', 'extra'], 'too many arguments'],
    [['kubeconfig', 'admin', '--server'], 'argument missing'],
    [['reset', '--force'], "unknown option '--force'"],
    [['controller', '--no-workloads', 'install'], "'--no-workloads' belongs behind 'install'"],
  ])('refuses %j with exit code 2', async (args, text) => {
    const { exitCode, stdout, stderr } = await cli(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(text);
    expect(stderr).toContain('mini-k8s --help');
  });

  it.each([[[]], [['config']], [['kubeconfig']], [['tunnel']]])(
    'shows what there is where a command is missing: %j',
    async (args) => {
      const { exitCode, stderr } = await cli(...args);
      expect(exitCode).toBe(2);
      expect(stderr).toContain('Usage: mini-k8s');
    },
  );

  it('does nothing without --yes', async () => {
    const { exitCode, stderr } = await cli('reset');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('fix: mini-k8s reset --yes');
  });

  it('uninstalls nothing without --yes', async () => {
    const { exitCode, stderr } = await cli('uninstall');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('fix: mini-k8s uninstall --yes');
  });

  it('prints a default configuration that is valid, and every version as JSON', async () => {
    const { stdout } = await cli('config', 'default');
    expect((await parseConfig(stdout, 'stdout')).spec.tuning).toBe('small');
    const versions = JSON.parse((await cli('version', '-o', 'json')).stdout) as object;
    expect(versions).toMatchObject({ 'mini-k8s': '0.0.0-source', kubernetes: '1.37.1' });
  });

  it('says where each value comes from, and shows no password', async () => {
    const context = fakeContext({
      MINI_K8S_API_PORT: '6444',
      HTTPS_PROXY: 'http://me:secret@proxy.example:3128',
    });
    const args = ['config', 'show', '--origin', '--data-dir', '/nowhere', '--config', '/dev/null'];
    expect(
      await run([...args, '--set', 'api.sans=a.example', '--set', 'tuning=small'], context),
    ).toBe(0);
    const lines = context.stdout.text().split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        '    port: 6444 # MINI_K8S_API_PORT',
        '    gatewayPort: 9443 # default',
        '      - a.example # --set api.sans',
        '    https: http://***@proxy.example:3128 # HTTPS_PROXY',
        '    taints: [] # default',
        '  tuning: small # --set tuning',
      ]),
    );
    expect(context.stdout.text()).not.toContain('secret');
  });

  it('prints the schema, and the variables of all fields', async () => {
    const schema = JSON.parse((await cli('config', 'schema')).stdout) as object;
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
    expect((await cli('config', 'variables')).stdout).toMatch(
      /^spec\.network\.podCIDR +MINI_K8S_NETWORK_POD_CIDR +text$/m,
    );
  });

  it.each([
    [['controller', '--dry-run', '--data-dir', ''], 'Cannot use data directory ""'],
    [['controller', '--dry-run', '--data-dir', '/a b'], 'Cannot use data directory "/a b"'],
    [['controller', '--dry-run', '--data-dir', '/'], 'Cannot use data directory "/"'],
    [['config', 'validate', '/nowhere.yaml'], 'there is no such file'],
    [['status', '-o', 'xml'], 'the formats are text, json and yaml'],
  ])('refuses %j with exit code 1', async (args, text) => {
    const { exitCode, stderr } = await cli(...args);
    expect(stderr).toContain(text);
    expect(exitCode).toBe(1);
  });
});
