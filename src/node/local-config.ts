import { throwCollected } from '../base/errors.ts';
import { type ProxySettings, proxySettingsFrom } from '../base/proxy-settings.ts';
import type { ConfigLayer } from '../config/layers.ts';
import { inspectLayers } from '../config/parse.ts';
import { defaultConfigFile } from '../config/paths.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import { type ConfigSourceOptions, readConfigLayers } from './config-sources.ts';
import { credentialProblems } from './credentials.ts';

/** What a machine says about itself before it knows its cluster. */
export interface LocalConfig {
  readonly layers: readonly ConfigLayer[];
  /** Undefined where none is chosen. */
  readonly nodeName: string | undefined;
  readonly proxy: ProxySettings | undefined;
}

/**
 * Reads a worker's own configuration: a machine must not join by one that it could not start with.
 * @throws UserError or UserErrors: every mistake.
 */
export async function readLocalConfig(options: ConfigSourceOptions): Promise<LocalConfig> {
  const layers = await readConfigLayers(options);
  const inspected = await inspectLayers(layers, options.configFile ?? defaultConfigFile);
  throwCollected([...inspected.errors, ...(await credentialProblems(inspected))]);
  const { node, proxy } = inspected.config.spec;
  return {
    layers,
    nodeName: node.name === '' ? undefined : node.name,
    proxy: proxySettingsFrom(proxyVariables(proxy)),
  };
}
