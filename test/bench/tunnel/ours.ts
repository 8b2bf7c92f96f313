import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { type CertificateFiles, nodeName } from './certificates.ts';
import type { OurAgentOptions } from './ours-agent.ts';
import type { OurServerOptions } from './ours-server.ts';
import { startPeer } from './peer-process.ts';
import { listenPorts } from './ports.ts';
import type { Side } from './side.ts';

export interface OursOptions {
  /** For the bundles. */
  readonly directory: string;
  readonly certificates: CertificateFiles;
  /** More flags of Node.js for both ends: `--cpu-prof`. */
  readonly execArgv: readonly string[];
}

/**
 * Our tunnel, bundled and run with the same V8 flags as in the executable: without the loader of TypeScript, whose
 * memory nobody else pays.
 */
export async function buildOurs(options: OursOptions): Promise<Side> {
  const { directory, certificates } = options;
  await mkdir(directory, { recursive: true });
  await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: ['ours-server.ts', 'ours-agent.ts'],
    outdir: directory,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const start = (end: 'server' | 'agent', rigDirectory: string, settings: unknown) =>
    startPeer({
      program: process.execPath,
      args: [
        ...V8_FLAGS,
        ...options.execArgv,
        path.join(directory, `ours-${end}.cjs`),
        JSON.stringify(settings),
      ],
      directory: rigDirectory,
      logFile: path.join(rigDirectory, `${end}.log`),
    });
  return {
    name: 'mini-k8s',
    startServer: async (rigDirectory, targetPort) => {
      const [port = 0] = await listenPorts(1);
      const settings: OurServerOptions = {
        ...{ port, nodeName },
        socketPath: socketPathIn(rigDirectory),
        caFile: certificates.ca,
        certFile: certificates.ourServer.cert,
        keyFile: certificates.ourServer.key,
        kubeletPort: targetPort,
      };
      return { process: await start('server', rigDirectory, settings), port };
    },
    startAgent: async (rigDirectory, { serverPort, targetPort }) => {
      const settings: OurAgentOptions = {
        controller: `127.0.0.1:${serverPort}`,
        caFile: certificates.ca,
        certFile: certificates.node,
        nodeName,
        kubeletPort: targetPort,
      };
      return start('agent', rigDirectory, settings);
    },
    front: (rigDirectory, targetPort) => ({
      address: { path: socketPathIn(rigDirectory) },
      authority: `${nodeName}:${targetPort}`,
    }),
  };
}

function socketPathIn(directory: string): string {
  return path.join(directory, 'tunnel.sock');
}
