import { type ConnectAnswer, parseConnectAnswer } from './connect-answer.ts';
import { renderTarget } from './connect-request.ts';
import { clearDeadline, setDeadline } from './deadlines.ts';
import type { DialFailure, DialOutcome } from './dial-target.ts';
import { ignoreError } from './ignore-error.ts';
import { ownCopy } from './own-copy.ts';
import type { AgentDecision, ByteStream } from './types.ts';

export interface DialThroughAgentOptions {
  /** Fresh, of a session of that node. */
  readonly stream: ByteStream;
  readonly timeoutMs: number;
  /** Who asks: when it closes, the stream is reset, so that the agent gives up as well. */
  readonly client: ByteStream;
}

/**
 * Asks the agent of a node to connect, with CONNECT on a stream of its session. The outcome's stream is paused, and
 * what the target has sent already is put back. `done` is called once, perhaps before this returns.
 */
export function dialThroughAgent(
  decision: AgentDecision,
  options: DialThroughAgentOptions,
  done: (outcome: DialOutcome) => void,
): void {
  const { stream, timeoutMs, client } = options;
  const { nodeName, subject } = decision;
  const request = renderRequest(decision);
  let received: Buffer | undefined;
  const finish = (outcome: DialOutcome, rest?: Buffer) => {
    clearDeadline(deadline);
    client.off('close', onGone);
    stream.off('data', onData).off('end', onEnd).off('close', onClose).pause();
    if (outcome.type === 'failed' && !stream.destroyed) stream.resetAndDestroy();
    if (rest !== undefined && rest.length > 0) stream.unshift(rest);
    done(outcome);
  };
  const onData = (chunk: Buffer) => {
    const header = received === undefined ? chunk : Buffer.concat([received, chunk]);
    const answer = parseConnectAnswer(header);
    if (answer.type === 'incomplete') {
      received = received === undefined ? ownCopy(chunk) : header;
    } else if (answer.type === 'invalid' || answer.status !== 200) {
      finish(describeRefusal(nodeName, answer));
    } else {
      const headerBytes = { written: request.length, read: answer.headerBytes };
      const rest = header.subarray(answer.headerBytes);
      finish({ type: 'connected', stream, headerBytes }, rest);
    }
  };
  const onEnd = () => {
    const reason = `the agent of node ${nodeName} hung up without an answer`;
    finish(failed('agent-refused', 502, reason));
  };
  const onClose = () => {
    const reason = `the tunnel of node ${nodeName} broke off: ${describeEnd(stream)}`;
    finish(failed('session-lost', 502, reason));
  };
  const onGone = () => finish(failed('client-gone', 502, 'the client went away'));
  const deadline = setDeadline(timeoutMs, () => {
    const reason = `${subject} did not answer through the tunnel of node ${nodeName} within ${Number((timeoutMs / 1000).toFixed(1))} s`;
    finish(failed('timeout', 504, reason));
  });
  client.on('close', onGone);
  stream.on('error', ignoreError);
  stream.on('data', onData).on('end', onEnd).on('close', onClose);
  stream.write(request);
  if (stream.destroyed) onClose();
  else if (client.destroyed) onGone();
}

function describeEnd({ errored }: ByteStream): string {
  return errored === null ? 'the stream was reset' : errored.message;
}

function renderRequest(decision: AgentDecision): Buffer {
  const target = renderTarget(decision);
  return Buffer.from(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
}

/** The agent's own words, as far as it has found any. */
function describeRefusal(
  nodeName: string,
  answer: Exclude<ConnectAnswer, { type: 'incomplete' }>,
): DialOutcome {
  if (answer.type === 'invalid') {
    const reason = `the agent of node ${nodeName} is not understood: ${answer.reason}`;
    return failed('agent-refused', 502, reason);
  }
  const reason = answer.reason === '' ? `refused by node ${nodeName}` : answer.reason;
  return failed(failuresByStatus[answer.status] ?? 'agent-refused', answer.status, reason);
}

const failuresByStatus: Readonly<Record<number, DialFailure>> = {
  502: 'target-failed',
  504: 'timeout',
};

function failed(failure: DialFailure, status: number, reason: string): DialOutcome {
  return { type: 'failed', failure, refusal: { status, reason } };
}
