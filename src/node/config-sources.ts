import { readdir } from 'node:fs/promises';
import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { ConfigLayer } from '../config/layers.ts';
import { type InspectedConfig, inspectLayers } from '../config/parse.ts';
import { defaultConfigFile } from '../config/paths.ts';
import { readYamlLayer } from '../config/read-yaml.ts';
import { environmentLayer, flagLayer, proxyLayer } from '../config/settings.ts';
import type { ClusterConfig } from '../config/types.ts';

/** Everything that a configuration comes from. */
export interface ConfigSourceOptions {
  /** Must exist when given; `<file>.d/*.yaml` belongs to it. */
  readonly configFile?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--set field=value`, in the order in which they were given. */
  readonly settings?: readonly string[];
}

/**
 * The sources of this machine, the last on top: the proxy variables of the machine, the file, the files of its
 * directory by name, `MINI_K8S_…`, `--set`. What a file says wrong is in its layer.
 * @throws UserError for a file that cannot be read.
 */
export async function readConfigLayers(options: ConfigSourceOptions): Promise<ConfigLayer[]> {
  const { configFile, env, settings = [] } = options;
  const file = configFile ?? defaultConfigFile;
  const { clusterConfigSchema } = await import('../config/schema.ts');
  return [
    proxyLayer(env),
    ...(await readFileLayers(file, configFile !== undefined)),
    await environmentLayer(env, clusterConfigSchema),
    await flagLayer(settings, clusterConfigSchema),
  ];
}

/**
 * What all sources say together.
 * @throws UserError for a file that cannot be read.
 */
export async function inspectSources(options: ConfigSourceOptions): Promise<InspectedConfig> {
  const layers = await readConfigLayers(options);
  return inspectLayers(layers, options.configFile ?? defaultConfigFile);
}

/**
 * Reads the configuration, or the defaults where nothing says anything.
 * @throws UserError or UserErrors.
 */
export async function readConfig(options: ConfigSourceOptions): Promise<ClusterConfig> {
  const { config, errors } = await inspectSources(options);
  throwCollected(errors);
  return config;
}

/** The files that are there, in the order in which they are read. */
export async function findConfigFiles(configFile = defaultConfigFile): Promise<string[]> {
  const isThere = (await readConfigText(configFile)) !== undefined;
  return [...(isThere ? [configFile] : []), ...(await listParts(`${configFile}.d`))];
}

async function readFileLayers(file: string, mustExist: boolean): Promise<ConfigLayer[]> {
  const text = await readConfigText(file);
  if (text === undefined && mustExist) {
    throw new UserError({
      what: `read configuration ${file}`,
      why: 'there is no such file',
      fix: 'mini-k8s config default prints one to begin with',
    });
  }
  const layers = text === undefined ? [] : [await readYamlLayer(text, file)];
  for (const part of await listParts(`${file}.d`)) {
    layers.push(await readYamlLayer((await readConfigText(part)) ?? '', part));
  }
  return layers;
}

/** The files of the directory in the order of their names; those of editors and packagers are none of them. */
async function listParts(directory: string): Promise<string[]> {
  const names = await listNames(directory);
  const mistaken = names.filter((name) => /\.(yml|json)$/.test(name));
  throwCollected(
    mistaken.map(
      (name) =>
        new UserError({
          what: `read configuration ${directory}/${name}`,
          why: 'only files whose names end in .yaml are read there',
          fix: `mv ${directory}/${name} ${directory}/${name.replace(/\.\w+$/, '.yaml')}`,
        }),
    ),
  );
  return names
    .filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))
    .sort()
    .map((name) => `${directory}/${name}`);
}

async function listNames(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw unreadable(directory, error);
  }
}

async function readConfigText(file: string): Promise<string | undefined> {
  try {
    return await readTextIfExists(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): unknown {
  const known: Record<string, string> = {
    EISDIR: 'it is a directory',
    ENOTDIR: 'it is not a directory',
    EACCES: 'permission denied',
  };
  const why = known[errorCode(error) ?? ''];
  return why === undefined
    ? error
    : new UserError({ what: `read configuration ${file}`, why, cause: error });
}
