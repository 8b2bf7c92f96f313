import { readTextIfExists } from '../base/files.ts';
import { runCommand } from './run-command.ts';
import type { Examination, Verdict } from './types.ts';

export interface ForwardFacts {
  /** Of the packet filter's FORWARD chain; undefined when it has none, which accepts. */
  readonly policy?: 'accept' | 'drop';
  /** Docker's own chains stand in it. */
  readonly isDockers: boolean;
}

export async function examineForwardPolicy(
  { isRoot, runsWorkloads }: Examination,
  signal: AbortSignal,
): Promise<Verdict[]> {
  if (!runsWorkloads) return [];
  if (!isRoot) return [{ state: 'skipped', why: 'it needs root' }];
  return judgeForward(await readForwardFacts(signal));
}

/** Pure. kube-router lets its pods' packets through by rules of its own; what has no such rule depends on the policy. */
export function judgeForward({ policy, isDockers }: ForwardFacts): Verdict[] {
  if (policy !== 'drop') return [{ state: 'ok', what: 'packets may be forwarded' }];
  return [
    {
      state: 'warn',
      what: `packets are not forwarded unless a rule says so${isDockers ? ': Docker has set it that way' : ''}`,
      why: "the policy of iptables' chain FORWARD is DROP, so that a pod network of your own may carry nothing",
      fix: isDockers
        ? 'iptables -P FORWARD ACCEPT after Docker has started, or allow your pod CIDR in chain DOCKER-USER'
        : 'iptables -P FORWARD ACCEPT, or allow your pod CIDR there',
    },
  ];
}

/**
 * Both kinds of iptables may have rules. iptables itself would make its tables by looking at them: nft only reads, and
 * the old kind is asked only where its table is loaded.
 */
async function readForwardFacts(signal: AbortSignal): Promise<ForwardFacts> {
  const nft = await runCommand('nft', ['list', 'chain', 'ip', 'filter', 'FORWARD'], signal);
  const oldTables = (await readTextIfExists('/proc/net/ip_tables_names').catch(() => '')) ?? '';
  const old = oldTables.split('\n').includes('filter')
    ? await runCommand('iptables-legacy', ['-w', '5', '-S', 'FORWARD'], signal)
    : undefined;
  const texts = [nft, old].flatMap((outcome) =>
    outcome?.type === 'succeeded' ? [outcome.stdout] : [],
  );
  return parseForward(texts.join('\n'));
}

/** What `nft list chain` and `iptables -S` print. */
export function parseForward(text: string): ForwardFacts {
  const isDockers = /\bDOCKER\b|\bDOCKER-/.test(text);
  if (/policy drop;|^-P FORWARD DROP/m.test(text)) return { policy: 'drop', isDockers };
  return /policy accept;|^-P FORWARD ACCEPT/m.test(text)
    ? { policy: 'accept', isDockers }
    : { isDockers };
}
