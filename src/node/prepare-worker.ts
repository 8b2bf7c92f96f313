import { throwCollected, UserError } from '../base/errors.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { isNodeName } from '../config/names.ts';
import { checkHost, inspectConfig } from '../config/parse.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import type { JoinDocument } from '../join/types.ts';
import { gatherHostFacts } from './host-facts.ts';
import { hasKubeletCertificate, readMembership } from './membership.ts';
import { planWorker } from './plan.ts';
import { lastAddressFile, type PreparedNode } from './prepare.ts';

/** What is said on the command line of a worker about itself. */
export interface WorkerSettings {
  readonly dataDir?: string;
  /** The lower-cased host name when left out. */
  readonly nodeName?: string;
  /** `key=value`, comma-separated. */
  readonly labels?: string;
  /** `key=value:Effect`, comma-separated. */
  readonly taints?: string;
}

/** The machine, before anything is known of the cluster. */
export interface InspectedWorker {
  readonly paths: Paths;
  readonly host: HostFacts;
  readonly nodeName: string;
}

/** @throws UserError for a name that is no node name. */
export async function inspectWorker(settings: WorkerSettings): Promise<InspectedWorker> {
  const paths = pathsFor(settings);
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  return { paths, host, nodeName: chooseNodeName(settings, host) };
}

/** Plans a worker from what it learned when it joined. Changes nothing, and needs no network. */
export async function prepareWorker(
  worker: InspectedWorker,
  document: JoinDocument,
  settings: WorkerSettings,
): Promise<PreparedNode> {
  const { paths, host, nodeName } = worker;
  const inspected = await inspectConfig(
    workerConfig(document, nodeName, settings),
    'of the cluster',
  );
  throwCollected([...inspected.errors, ...checkHost(inspected, host, 'of the cluster')]);
  const { config } = inspected;
  const plan = planWorker({
    config,
    host,
    paths,
    apiServers: document.apiServers,
    membership: {
      ca: document.ca,
      gateways: document.gateways,
      hasCertificate: await hasKubeletCertificate(paths),
    },
  });
  return { config, host, paths, plan };
}

/**
 * The plan of a machine that has joined, for looking at.
 * @throws UserError when it has not.
 */
export async function prepareMember(settings: WorkerSettings): Promise<PreparedNode> {
  const machine = await inspectWorker(settings);
  const stored = await readMembership(machine.paths);
  if (stored === undefined) {
    throw new UserError({
      what: 'plan a worker',
      why: 'this machine has not joined a cluster yet, and what it will run is what its cluster says',
      fix: 'join first: mini-k8s worker --token-file FILE',
    });
  }
  const { nodeName, document } = stored;
  return prepareWorker({ ...machine, nodeName }, document, settings);
}

/** The cluster's configuration with this machine's part in it, as the text that the parser takes. */
function workerConfig(document: JoinDocument, nodeName: string, settings: WorkerSettings): string {
  const config = document.config as { spec?: object };
  const node = {
    name: nodeName,
    labels: parseLabels(settings.labels),
    taints: splitList(settings.taints),
  };
  return JSON.stringify({ ...config, spec: { ...config.spec, node } });
}

function chooseNodeName(settings: WorkerSettings, host: HostFacts): string {
  const name = settings.nodeName ?? host.hostname.toLowerCase();
  if (isNodeName(name)) return name;
  throw new UserError({
    what: 'name this node',
    why: `"${name}" is not a node name: lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit`,
    fix: 'choose one with --node-name',
  });
}

/** @throws UserError for what is not `key=value`; keys and values are the configuration's to judge. */
function parseLabels(text: string | undefined): Record<string, string> {
  return Object.fromEntries(
    splitList(text).map((pair) => {
      const at = pair.indexOf('=');
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
      throw new UserError({
        what: `use --labels ${text}`,
        why: `"${pair}" is not key=value`,
        fix: 'write them as --labels example.com/rack=r1,size=small',
      });
    }),
  );
}

function splitList(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((part) => part !== '');
}
