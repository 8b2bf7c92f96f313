import type { JoinRequest } from '../../../src/join/types.ts';

export const machineA = {
  machineId: 'a'.repeat(32),
  bootId: 'aaaaaaaa-0000-4000-8000-000000000000',
} as const;

export const machineB = {
  machineId: 'b'.repeat(32),
  bootId: 'bbbbbbbb-0000-4000-8000-000000000000',
} as const;

/** What a machine says about itself. */
export function requestOf(machine: Pick<JoinRequest, 'machineId' | 'bootId'>): JoinRequest {
  return {
    nodeName: 'edge-1',
    ...machine,
    version: '0.1.0',
    arch: 'amd64',
    addresses: ['10.0.0.4'],
  };
}
