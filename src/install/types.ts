import type { FileSpec } from '../base/files.ts';

/** What starts services on a machine. */
export type ServiceManagerName = 'systemd' | 'OpenRC';

/** What somebody wants installed. */
export interface InstallRequest {
  /** The command that the service runs. */
  readonly command: 'controller' | 'worker';
  /** What follows the command; no secret, since everybody can read it. */
  readonly args: readonly string[];
  readonly dataDir: string;
  /** Proxy settings of the installing shell: without them the service would not reach what that shell does. */
  readonly environment: Readonly<Record<string, string>>;
  readonly allowsNegativeOomScore: boolean;
  /** The JSON schema of the configuration, by which editors on this machine complete it. */
  readonly schema?: string;
  /** Made where the machine has none of that name. */
  readonly user?: SystemUser;
}

/** Everything that an installation puts on a machine; what the node makes while it runs is not part of it. */
export interface InstallPlan {
  readonly manager: ServiceManagerName;
  readonly command: InstallRequest['command'];
  readonly dataDir: string;
  /** Where the executable goes, and where the one that was there before is kept. */
  readonly executable: string;
  readonly previousExecutable: string;
  readonly files: readonly FileSpec[];
  readonly user?: SystemUser;
}

/** A user without a shell or a home. */
export interface SystemUser {
  readonly name: string;
  /** Its number and its group's. */
  readonly id: number;
}

/** What was put on this machine, written before it was: what `uninstall` takes away. */
export interface InstallRecord {
  readonly command: InstallRequest['command'];
  readonly manager: ServiceManagerName;
  readonly dataDir: string;
  readonly files: readonly string[];
  /** Absent when the executable was at its place before the first installation: it is not ours to remove. */
  readonly executable?: string;
  readonly previousExecutable: string;
  /** Absent when the machine had that user before. */
  readonly user?: string;
}
