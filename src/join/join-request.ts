import { parseIpv4 } from '../base/ip.ts';
import { nodeNameProblem } from './node-name.ts';
import type { JoinRequest } from './types.ts';

/** Pod bridges and container networks have addresses too, so there may be many. */
const maxAddresses = 64;

/**
 * The request that a parsed body is, or what is wrong with it, naming the field. Unknown fields are ignored: a newer
 * worker may send more. Pure.
 */
export function readJoinRequest(
  body: unknown,
): { readonly request: JoinRequest } | { readonly problem: string } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return { problem: 'the body is not a JSON object' };
  }
  const fields: Readonly<Record<string, unknown>> = { ...body };
  for (const [name, rule] of Object.entries(rules)) {
    const problem = rule(fields[name]);
    if (problem !== undefined) return { problem: `${name} ${problem}` };
  }
  const { nodeName, machineId, bootId, version, arch, addresses } =
    fields as unknown as JoinRequest;
  return { request: { nodeName, machineId, bootId, version, arch, addresses } };
}

type Rule = (value: unknown) => string | undefined;

const rules: Readonly<Record<keyof JoinRequest, Rule>> = {
  nodeName: (value) => (typeof value === 'string' ? nodeNameProblem(value) : 'is missing'),
  machineId: matching(/^[0-9a-f]{32}$/, 'is not 32 hexadecimal digits, as /etc/machine-id has'),
  bootId: matching(/^[0-9a-f-]{36}$/, 'is not a UUID, as /proc/sys/kernel/random/boot_id has'),
  version: matching(/^[\w.+-]{1,64}$/, 'is not a version'),
  arch: matching(/^(amd64|arm64)$/, 'is neither amd64 nor arm64'),
  addresses: (value) => {
    if (!Array.isArray(value) || value.length > maxAddresses) {
      return `is not a list of at most ${maxAddresses} IPv4 addresses`;
    }
    const isAddress = (entry: unknown) =>
      typeof entry === 'string' && parseIpv4(entry) !== undefined;
    return value.every(isAddress) ? undefined : 'has an entry that is not an IPv4 address';
  },
};

function matching(pattern: RegExp, problem: string): Rule {
  return (value) => (typeof value === 'string' && pattern.test(value) ? undefined : problem);
}
