import type { Logger } from '../base/logger.ts';
import type { NodeObserver } from './local-node.ts';
import { parseLinkState, planPodBridge, podBridgeName } from './pod-bridge.ts';
import { nodePodCIDRs } from './resources.ts';

/** What the host gives; the real ones are chosen in node/. */
export interface CniHost {
  /** Text of a file, undefined when there is none. */
  readonly readFile: (file: string) => Promise<string | undefined>;
  /** Replaces a file whole, mode 0644. */
  readonly writeFile: (file: string, content: string) => Promise<void>;
  /** Runs a program found on PATH and gives its standard output; rejects when it fails. */
  readonly run: (command: string, args: readonly string[]) => Promise<string>;
  /** MTU of the interface that has the node's address, bytes. */
  readonly mtu: () => Promise<number>;
}

export interface CniConfigOptions {
  /** `/etc/cni/net.d/10-kuberouter.conflist`. */
  readonly configFile: string;
  readonly host: CniHost;
  readonly logger: Logger;
  /** Called each time the file is known to be complete. */
  readonly onReady?: () => void;
}

/**
 * Writes the CNI configuration once the Node has its pod network: complete from the first byte, with the bridge ready
 * before it, so that no sandbox is ever created with half of it.
 */
export function createCniConfig(options: CniConfigOptions): NodeObserver {
  const { configFile, host, logger } = options;
  return {
    name: 'CNI configuration',
    reconcile: async (node) => {
      const [podCIDR] = nodePodCIDRs(node);
      if (podCIDR === undefined) return;
      const mtu = await host.mtu();
      await ensurePodBridge({ podCIDR, mtu }, host);
      const content = renderCniConfig(podCIDR, mtu);
      if ((await host.readFile(configFile)) !== content) {
        await host.writeFile(configFile, content);
        logger.info(`wrote ${configFile} for the pod network ${podCIDR}`);
      }
      options.onReady?.();
    },
  };
}

/**
 * Makes the bridge again after a reboot, before the kubelet starts: the CNI configuration is still there then, and
 * pods may be created before this node's Node object can be read. Does nothing without a configuration of ours.
 */
export async function restorePodBridge(
  options: Pick<CniConfigOptions, 'configFile' | 'host'>,
): Promise<void> {
  const podCIDR = parsePodCIDR(await options.host.readFile(options.configFile));
  if (podCIDR === undefined) return;
  await ensurePodBridge({ podCIDR, mtu: await options.host.mtu() }, options.host);
}

/**
 * The CNI configuration of kube-router: bridge with host-local addresses, host ports by portmap. Keys are sorted and
 * there is no white space, as kube-router itself writes it, so that it leaves the same bytes.
 * @see https://www.cni.dev/docs/spec/#section-1-network-configuration-format
 */
export function renderCniConfig(podCIDR: string, mtu: number): string {
  return JSON.stringify({
    cniVersion: '1.0.0',
    name: 'kubernetes',
    plugins: [
      {
        bridge: podBridgeName,
        // A pod that calls its own Service comes back through the port it left by.
        hairpinMode: true,
        ipam: { ranges: [[{ subnet: podCIDR }]], type: 'host-local' },
        isDefaultGateway: true,
        mtu,
        type: 'bridge',
      },
      { capabilities: { portMappings: true }, type: 'portmap' },
    ],
  });
}

/** The pod network in a configuration as `renderCniConfig` makes it; undefined for any other text. */
export function parsePodCIDR(content: string | undefined): string | undefined {
  if (content === undefined) return undefined;
  try {
    const list = JSON.parse(content) as CniList | null;
    return list?.plugins?.find(({ bridge }) => bridge === podBridgeName)?.ipam?.ranges?.[0]?.[0]
      ?.subnet;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

interface CniList {
  readonly plugins?: readonly {
    readonly bridge?: string;
    readonly ipam?: { readonly ranges?: readonly (readonly { readonly subnet?: string }[])[] };
  }[];
}

async function ensurePodBridge(
  wanted: { readonly podCIDR: string; readonly mtu: number },
  host: CniHost,
): Promise<void> {
  // All links: asking for one that is not there is an error like any other.
  const state = parseLinkState(await host.run('ip', ['-json', 'address', 'show']));
  for (const args of planPodBridge(wanted, state)) await host.run('ip', args);
}
