import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { originOf } from '../../../src/config/layers.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { findConfigFiles, inspectSources, readConfig } from '../../../src/node/config-sources.ts';
import { credentialProblems, readAuthorization } from '../../../src/node/credentials.ts';
import { inspectConfiguration } from '../../../src/node/inspect-configuration.ts';
import { planController } from '../../../src/node/plan.ts';
import { fillProcess, readSecrets } from '../../../src/node/plan-secrets.ts';
import { planInputs } from '../../support/plan-inputs.ts';

let folder: string;
let configFile: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-config-'));
  configFile = path.join(folder, 'config.yaml');
});
afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, text: string, mode = 0o644): Promise<string> {
  const file = path.join(folder, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

describe('the sources of a configuration', () => {
  it('are laid over each other: proxy variables, file, its directory by name, environment, flags', async () => {
    const field = (name: string) => `spec: { api: { ${name} } }\n`;
    await write('config.yaml', 'spec:\n  proxy: { http: "http://file:1" }\n  hardening: cis\n');
    await write('config.yaml.d/20-b.yaml', field('port: 20, gatewayPort: 21'));
    await write('config.yaml.d/10-a.yaml', field('port: 10, gatewayPort: 11, sans: [a]'));
    await write('config.yaml.d/30-c.yaml~', field('port: 30'));
    await write('config.yaml.d/.40-d.yaml', field('port: 40'));
    const { config, errors, origins } = await inspectSources({
      configFile,
      env: {
        http_proxy: 'http://env:1',
        HTTPS_PROXY: 'http://env:2',
        MINI_K8S_API_GATEWAY_PORT: '50',
        MINI_K8S_TUNING: 'upstream',
      },
      settings: ['tuning=small'],
    });
    expect(errors).toEqual([]);
    expect(config.spec.api).toMatchObject({ port: 20, gatewayPort: 50, sans: ['a'] });
    expect(config.spec).toMatchObject({ hardening: 'cis', tuning: 'small' });
    expect(config.spec.proxy).toMatchObject({ http: 'http://file:1', https: 'http://env:2' });
    const places = ['api.port', 'api.sans', 'api.gatewayPort', 'tuning', 'proxy.https'];
    expect(places.map((name) => originOf(origins, `spec.${name}`))).toEqual([
      `${configFile}.d/20-b.yaml:1`,
      `${configFile}.d/10-a.yaml:1`,
      'MINI_K8S_API_GATEWAY_PORT',
      '--set tuning',
      'HTTPS_PROXY',
    ]);
    expect(await findConfigFiles(configFile)).toEqual([
      configFile,
      `${configFile}.d/10-a.yaml`,
      `${configFile}.d/20-b.yaml`,
    ]);
  });

  it('may be the directory alone, but not with a file that was asked for', async () => {
    await write('config.yaml.d/a.yaml', 'spec: { hardening: cis }');
    await expect(readConfig({ configFile, env: {} })).rejects.toThrow('there is no such file');
  });

  it('refuse names that would be passed over, with the command that mends it', async () => {
    await write('config.yaml', '');
    await write('config.yaml.d/a.yml', '');
    const fix = `mv ${configFile}.d/a.yml ${configFile}.d/a.yaml`;
    await expect(readConfig({ configFile, env: {} })).rejects.toMatchObject({ fix });
  });

  it('tell what is broken in every file at once', async () => {
    await write('config.yaml', 'spec: [');
    await write('config.yaml.d/a.yaml', 'a: {');
    const { errors } = await inspectSources({ configFile, env: { MINI_K8S_X: '1' } });
    expect(new Set(errors.map(({ what }) => what))).toEqual(
      new Set([
        `use configuration ${configFile}`,
        `use configuration ${configFile}.d/a.yaml`,
        'use configuration MINI_K8S_X',
      ]),
    );
  });
});

describe('files with credentials', () => {
  it.each([
    ['me:secret\n', 0o600, undefined],
    ['me:secret', 0o640, 'can be read by others'],
    ['secret', 0o600, 'does not hold user:password'],
    ['', 0o600, 'does not hold user:password'],
  ])('with %j, mode %o: %s', async (text, mode, problem) => {
    const file = await write('hub', text, mode);
    const spec = { registries: { 'docker.io': { credentialsFile: file } } };
    const config = await parseConfig(JSON.stringify({ spec }), 'test');
    const field = 'spec.registries.docker.io.credentialsFile';
    const problems = await credentialProblems({ config, origins: new Map([[field, 'c.yaml:3']]) });
    expect(problems.map(({ message }) => message)).toEqual(
      problem === undefined
        ? []
        : [`Cannot use configuration c.yaml:3: ${field}: ${file} ${problem}`],
    );
    for (const { message, fix } of problems) expect(`${message}${fix}`).not.toContain('secret');
  });

  it('that are not there are told of', async () => {
    await expect(readAuthorization(path.join(folder, 'no'))).rejects.toThrow('there is no file');
  });

  it('need not be on the machine where a configuration for another one is checked', async () => {
    const registries = { 'docker.io': { credentialsFile: '/nowhere/hub' } };
    const file = await write('other.yaml', JSON.stringify({ spec: { registries } }));
    const options = { configFile: file, dataDir: '/nowhere', env: {} };
    const elsewhere = await inspectConfiguration({ ...options, isForElsewhere: true });
    expect(elsewhere.files).toEqual([file]);
    await expect(inspectConfiguration(options)).rejects.toThrow('there is no file /nowhere/hub');
  });

  it('are filled in where a plan refers to them, and so is a proxy with a password', async () => {
    const file = await write('hub', 'me:secret\n', 0o600);
    const https = 'http://me:secret@proxy:1';
    const inputs = await planInputs({
      spec: `  registries: { docker.io: { credentialsFile: ${file} } }\n  proxy: { https: "${https}" }`,
    });
    const plan = planController(inputs);
    expect(JSON.stringify(plan)).not.toContain('secret@');
    const pki = { ...plan.pki, secrets: [] };
    const secretOf = await readSecrets({ ...plan, pki }, inputs.config);
    const containerd = plan.processes.find(({ name }) => name === 'containerd');
    if (containerd === undefined) throw new Error('the plan has containerd');
    expect(fillProcess(containerd, secretOf).env['HTTPS_PROXY']).toBe(https);
    const [name = ''] = plan.credentials.map((credential) => credential.name);
    expect(secretOf(name)).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
    expect(() => secretOf('other')).toThrow('which the plan lacks');
  });
});
