import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { parse } from 'yaml';
import { componentBinary } from '../components.ts';
import type { CommandResult } from '../node/types.ts';
import type { Cluster } from './cluster.ts';

// What another machine does with a node: here the test's own process, over the node's network card.

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** @throws Error when nothing answers within 5 s. */
export function fetchFrom(
  url: string,
  options: { readonly ca?: string; readonly timeoutMs?: number } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { timeoutMs = 5000, ca } = options;
    const get = url.startsWith('https:') ? https.get : http.get;
    const request = get(
      url,
      { agent: false, timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, body });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error(`${url}: no answer in ${timeoutMs} ms`)));
    request.on('error', reject);
  });
}

/** The CA of the cluster, PEM, as a kubeconfig has it. */
export function clusterAuthority(kubeconfig: string): string {
  const { clusters } = parse(kubeconfig) as {
    clusters: { cluster: { 'certificate-authority-data': string } }[];
  };
  const data = clusters[0]?.cluster['certificate-authority-data'] ?? '';
  return Buffer.from(data, 'base64').toString('utf8');
}

/** kubectl on another machine, with what `mini-k8s kubeconfig admin` prints. It takes nothing of the node's memory. */
export interface OutsideKubectl {
  exec(args: readonly string[], options?: { readonly input?: string }): Promise<CommandResult>;
  /** Throws unless the exit code is 0. Returns stdout. */
  run(args: readonly string[], options?: { readonly input?: string }): Promise<string>;
  close(): Promise<void>;
}

export async function openOutside(cluster: Cluster): Promise<OutsideKubectl> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-outside-'));
  const kubeconfig = path.join(directory, 'kubeconfig');
  await writeFile(kubeconfig, await cluster.run(['kubeconfig', 'admin']), { mode: 0o600 });
  const env = { KUBECONFIG: kubeconfig, HOME: directory };
  const exec: OutsideKubectl['exec'] = async (args, { input } = {}) => {
    const result = await execa(componentBinary('kubectl'), args, {
      env,
      extendEnv: false,
      reject: false,
      stripFinalNewline: false,
      timeout: 100_000,
      ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    });
    if (result.exitCode !== undefined) {
      return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
    }
    throw new Error(`kubectl ${args.join(' ')}: ${result.shortMessage}`);
  };
  return {
    exec,
    run: async (args, options) => {
      const { exitCode, stdout, stderr } = await exec(args, options);
      if (exitCode === 0) return stdout;
      throw new Error(`kubectl ${args.join(' ')} failed (exit ${exitCode}): ${stderr}${stdout}`);
    },
    close: () => rm(directory, { recursive: true, force: true }),
  };
}
