import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { kubeletClientCertificate } from '../../../src/components/kubelet.ts';
import { kubeconfigPath } from '../../../src/components/layout.ts';
import { type Paths, pathsFor } from '../../../src/config/paths.ts';
import type { JoinDocument, JoinToken } from '../../../src/join/types.ts';
import {
  ensureMembership,
  type Member,
  type MembershipOptions,
} from '../../../src/node/ensure-membership.ts';
import { gatherHostFacts } from '../../../src/node/host-facts.ts';
import type { InspectedWorker } from '../../../src/node/prepare-worker.ts';
import { type GatewayRig, rigAuthority, startGateway } from '../gateway/rig.ts';
import { documentOf, tokenOf } from '../join/rig.ts';

/** What a machine asked for: `nodes as edge-1`. */
type Answer = (path: string) => { readonly status: number; readonly body: unknown };

/** A machine's directories, and a gateway that answers as a test wants. */
export interface MembershipRig {
  readonly machine: InspectedWorker;
  readonly gateway: GatewayRig;
  readonly asked: string[];
  readonly document: JoinDocument;
  readonly token: JoinToken;
  answer: Answer;
  ensure(options?: Partial<MembershipOptions>): Promise<Member>;
  /** What the kubelet does when its request was approved. */
  giveCertificate(nodeName: string, madeAtMs?: number): Promise<void>;
  files(): Promise<string[]>;
  stop(): Promise<void>;
}

export const removed = {
  status: 403,
  body: { reason: 'NodeRemoved', message: 'node edge-1 was removed', fix: 'join again' },
};

export async function createMembershipRig(): Promise<MembershipRig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-membership-'));
  const paths: Paths = {
    ...pathsFor({ dataDir: path.join(directory, 'data') }),
    kubeletDir: path.join(directory, 'kubelet'),
  };
  const host = await gatherHostFacts({ lastAddressFile: path.join(directory, 'none') });
  const machine = { paths, host: { ...host, hostname: 'Edge-1', machineId: 'a'.repeat(32) } };
  const asked: string[] = [];
  const authority = rigAuthority();
  const gateway = await startGateway({
    authority,
    routes: [
      {
        prefix: '/join/v1/',
        handle: async (request, response) => {
          const what = path.basename(request.url ?? '');
          asked.push(`${what} as ${(await readBody(request)).nodeName}`);
          const { status, body } = rig.answer(what);
          response.writeHead(status).end(JSON.stringify(body));
        },
      },
    ],
  });
  const document = {
    ...documentOf(authority, { name: 'main', isBehindNat: false }),
    gateways: [`127.0.0.1:${gateway.port}`],
  };
  const token = tokenOf(authority, { id: 'abc123', secret: 's3cr3ts3cr3ts3cr' }, [gateway.port]);
  const rig: MembershipRig = {
    ...{ machine, gateway, asked, document, token },
    answer: () => ({ status: 200, body: document }),
    ensure: (options = {}) =>
      ensureMembership(
        machine,
        {
          joinToken: undefined,
          proxy: undefined,
          check: async () => {},
          env: {},
          isDebug: false,
          version: '0.1.0',
          logger: silentLogger,
          clock: systemClock,
          onEvent: () => {},
          ...options,
        },
        new AbortController().signal,
      ),
    async giveCertificate(nodeName, madeAtMs) {
      const { cert, key } = authority.node(nodeName, madeAtMs);
      await mkdir(path.dirname(kubeletClientCertificate(paths)), { recursive: true });
      await writeFile(kubeletClientCertificate(paths), cert + key);
      await writeFile(kubeconfigPath(paths, 'kubelet'), '');
    },
    files: async () =>
      (await readdir(directory, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
        .toSorted(),
    async stop() {
      await gateway.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return rig;
}

async function readBody(request: IncomingMessage): Promise<{ readonly nodeName: string }> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text) as { readonly nodeName: string };
}
