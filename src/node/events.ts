import type { ArtifactEvent } from '../artifacts/types.ts';
import type { HostEvent } from '../host/types.ts';
import type { PkiEvent } from '../pki/types.ts';
import type { StackEvent } from '../stacks/types.ts';
import type { SupervisorEvent } from '../supervisor/types.ts';

/** One line of progress that the person at the terminal sees: begun, then done or failed. */
export type StepEvent =
  | { readonly type: 'step-started'; readonly step: string }
  | {
      readonly type: 'step-finished';
      readonly step: string;
      readonly elapsedMs: number;
      readonly detail?: string;
    }
  | { readonly type: 'step-failed'; readonly step: string; readonly elapsedMs: number };

export type NodeEvent =
  | StepEvent
  | ArtifactEvent
  | PkiEvent
  | HostEvent
  | SupervisorEvent
  | StackEvent
  | { readonly type: 'file-written'; readonly path: string; readonly change: 'created' | 'updated' }
  /** Milliseconds are counted from the start of the command. */
  | { readonly type: 'components-ready'; readonly nodeName: string; readonly elapsedMs: number }
  /** The node itself or an addon is Ready for the first time. */
  | { readonly type: 'ready'; readonly name: string; readonly elapsedMs: number }
  | { readonly type: 'cluster-ready'; readonly elapsedMs: number }
  /** What is not Ready after a time in which it should be; told once. */
  | {
      readonly type: 'not-ready';
      readonly messages: readonly string[];
      readonly elapsedMs: number;
    }
  /** The configuration was read again and taken over; of the fields that changed, and of what was restarted. */
  | {
      readonly type: 'reloaded';
      readonly changed: readonly string[];
      readonly restarted: readonly string[];
      readonly notes: readonly string[];
    }
  /** It was read again, and the node goes on with what it had. */
  | { readonly type: 'reload-refused'; readonly messages: readonly string[] }
  /** Certificates are to be made and the clock is wrong. */
  | { readonly type: 'clock-awaited'; readonly message: string }
  | { readonly type: 'stopping'; readonly reason: string };
