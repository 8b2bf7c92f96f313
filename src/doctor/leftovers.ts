import { readdir } from 'node:fs/promises';
import { findLeftovers } from '../install/leftovers.ts';
import type { Examination, Verdict } from './types.ts';

export interface LeftoverFacts {
  /** Each other distribution that is there: what says so, and how it is removed. */
  readonly distributions: readonly { readonly why: string; readonly fix: string }[];
  /** Names of network interfaces. */
  readonly links: readonly string[];
  /** Names of the files in CNI's directory. */
  readonly cniFiles: readonly string[];
  readonly cniDirectory: string;
  /** Of this node, when it brings the pod network itself. */
  readonly ownCniFile?: string;
  /** A node of ours is on the machine: it was installed beside the others, or they were after it. */
  readonly isNode: boolean;
}

/** Interfaces that pod networks of others make, and leave when they are removed. */
const foreignLinks =
  /^(cni0|flannel\.\d+|flannel-(v6\.\d+|wg)|cilium_(host|net|vxlan)|cali\w+|vxlan\.calico|weave|kube-ipvs0)$/;
/** What containerd takes for a CNI configuration. */
const cniNames = /\.(conf|conflist|json)$/;
const ownCniFile = '10-kuberouter.conflist';

export async function examineLeftovers(machine: Examination): Promise<Verdict[]> {
  const { paths, config, runsWorkloads, isNode } = machine;
  const isOurNetwork = runsWorkloads && config.spec.network.provider === 'kube-router';
  const [found, links, cniFiles] = await Promise.all([
    findLeftovers('install a node'),
    readdir('/sys/class/net'),
    readdir(paths.cniConfDir).catch(() => []),
  ]);
  return judgeLeftovers({
    distributions: found.map(({ why, fix = '' }) => ({ why, fix })),
    links: isOurNetwork ? links : [],
    cniFiles,
    cniDirectory: paths.cniConfDir,
    ...(isOurNetwork ? { ownCniFile } : {}),
    isNode,
  });
}

/** Pure. */
export function judgeLeftovers(facts: LeftoverFacts): Verdict[] {
  const verdicts = [
    ...facts.distributions.map((found) => judgeDistribution(found, facts.isNode)),
    ...judgeCniFiles(facts),
    ...judgeLinks(facts.links),
  ];
  if (verdicts.length > 0) return verdicts;
  return [{ state: 'ok', what: 'no other distribution, and none of its network' }];
}

/** It wants the same ports and directories; `install` refuses to go beside it. */
function judgeDistribution(
  { why, fix }: LeftoverFacts['distributions'][number],
  isNode: boolean,
): Verdict {
  if (!isNode) return { state: 'fail', prevents: 'install a node', why, fix };
  return { state: 'warn', what: 'another distribution wants what this node has', why, fix };
}

/** containerd takes the first by name. */
function judgeCniFiles({ cniFiles, cniDirectory, ownCniFile: own }: LeftoverFacts): Verdict[] {
  if (own === undefined) return [];
  const earlier = cniFiles.filter((name) => cniNames.test(name) && name < own).toSorted();
  const [first] = earlier;
  if (first === undefined) return [];
  return [
    {
      state: 'fail',
      prevents: "give pods this node's network",
      why: `containerd takes the first file by name, and ${cniDirectory}/${first} comes before ${own}`,
      fix: `mv ${cniDirectory}/${first} /root/, or set spec.network.provider: custom if that network is wanted`,
    },
  ];
}

function judgeLinks(links: readonly string[]): Verdict[] {
  const foreign = links.filter((name) => foreignLinks.test(name)).toSorted();
  if (foreign.length === 0) return [];
  return [
    {
      state: 'warn',
      what: `another pod network has left ${foreign.join(', ')}`,
      why: 'their routes may lead packets for pods astray',
      fix: foreign.map((name) => `ip link delete ${name}`).join('; '),
    },
  ];
}
