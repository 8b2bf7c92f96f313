import { UserError } from '../base/errors.ts';
import { sleep } from '../base/time.ts';
import type { HttpConnection } from './http-connection.ts';

/** Where artifacts can come from: a gateway, a mirror, upstream. */
export interface Server {
  /** `10.0.0.4:9443` */
  readonly name: string;
  readonly connection: HttpConnection;
}

/** What one server's answer means. */
export type Answer<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** It may succeed later. `progressed`: something was won all the same. */
  | { readonly kind: 'failed'; readonly why: string; readonly progressed: boolean }
  | { readonly kind: 'busy'; readonly retryAfterMs: number }
  /** It does not have it. */
  | { readonly kind: 'absent' }
  /** Nothing was heard of it in the time that it had. Asking again would take as long. */
  | { readonly kind: 'silent'; readonly why: string }
  /** Asking again is of no use. */
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly why: string };

/** It does not let us read, is not who it should be, or what it sent is wrong. */
export type RefusalReason = 'denied' | 'untrusted' | 'wrong-content';

/** What to say and do about servers of one kind. */
export interface ServerWords {
  /** `it does not accept the token of this node`; before the status or the error. */
  readonly why: Readonly<Record<'denied' | 'untrusted', string>>;
  readonly fix: Readonly<Record<RefusalReason | 'unreachable', string>>;
}

/** Given up since a server could not be reached or did not deliver, and not since it said no. */
export class UnreachableError extends UserError {}

export interface Question<T> {
  /** The act, for messages: `download kubelet of kubernetes 1.37.1 (amd64)`. */
  readonly what: string;
  ask(server: Server): Promise<Answer<T>>;
  /** How often all servers may fail in turn, without any progress, before that is the answer. */
  readonly rounds: number;
  /** One server that does not have it speaks for those that cannot be reached. */
  readonly isAbsentWhenOneSaysSo: boolean;
}

export interface Asking {
  /** The one that had the last answer comes first: a dead one costs its time-out once. */
  readonly servers: Server[];
  readonly words: ServerWords;
  readonly random: () => number;
  readonly firstPauseMs: number;
  readonly onWaiting: (waiting: { readonly why: string; readonly retryInMs: number }) => void;
  readonly signal: AbortSignal;
}

/** Doubled up to this: a server that comes back is found soon, and a fleet does not keep it from coming. */
const maxPauseMs = 30_000;

/** A server that wants more patience is asked again after this. */
const maxRetryAfterMs = 5 * 60_000;

/** A controller that serves a whole fleet at once is busy for minutes. */
const maxBusyRounds = 200;

/**
 * Asks the servers in turn until one has the answer, with pauses that grow while nothing gets on.
 * @returns undefined when all that could answer do not have it.
 * @throws UserError with each server's last word.
 */
export async function askServers<T>(question: Question<T>, asking: Asking): Promise<T | undefined> {
  const settled: Settled = new Map();
  let fruitless = 0;
  let busyRounds = 0;
  for (;;) {
    const round: Round = { problems: [], busyMs: undefined, progressed: false };
    const done = await askAll(question, { asking, settled, round });
    if (done !== undefined) return done.value;
    if (isAbsent(question, round, settled)) return undefined;
    if (round.busyMs !== undefined) busyRounds += 1;
    else fruitless += 1;
    if (round.progressed) fruitless = 0;
    const isHopeless = fruitless >= question.rounds || busyRounds >= maxBusyRounds;
    if (isHopeless || round.problems.length === 0)
      throw giveUp(question.what, { round, settled, words: asking.words });
    await pause(round, fruitless, asking);
  }
}

/** What will not change by asking again. */
type SettledAnswer = Answer<never> & { readonly kind: 'absent' | 'refused' | 'silent' };

type Settled = Map<Server, SettledAnswer>;

interface Round {
  readonly problems: string[];
  busyMs: number | undefined;
  progressed: boolean;
}

async function askAll<T>(
  question: Question<T>,
  state: { readonly asking: Asking; readonly settled: Settled; readonly round: Round },
): Promise<{ readonly value: T } | undefined> {
  const { asking, settled, round } = state;
  for (const server of [...asking.servers]) {
    asking.signal.throwIfAborted();
    if (settled.has(server)) continue;
    const answer = await question.ask(server);
    if (answer.kind === 'done') {
      prefer(server, asking.servers);
      return answer;
    }
    if (answer.kind === 'failed' || answer.kind === 'busy') note(round, server, answer);
    else settled.set(server, answer);
  }
  return undefined;
}

/** Nobody has it: all say so, or one that could be asked where that is enough. */
function isAbsent(question: Question<unknown>, round: Round, settled: Settled): boolean {
  const kinds = [...settled.values()].map(({ kind }) => kind);
  if (!kinds.includes('absent')) return false;
  const couldAllBeAsked = round.problems.length === 0 && !kinds.includes('silent');
  return couldAllBeAsked ? !kinds.includes('refused') : question.isAbsentWhenOneSaysSo;
}

function prefer(server: Server, servers: Server[]): void {
  servers.splice(servers.indexOf(server), 1);
  servers.unshift(server);
}

function note(
  round: Round,
  { name }: Server,
  answer: Answer<unknown> & { readonly kind: 'failed' | 'busy' },
): void {
  if (answer.kind === 'failed') {
    round.problems.push(`${name}: ${answer.why}`);
    round.progressed ||= answer.progressed;
    return;
  }
  round.problems.push(`${name} is busy`);
  round.busyMs = Math.min(round.busyMs ?? Number.POSITIVE_INFINITY, answer.retryAfterMs);
}

/**
 * A server that says when it wants to be asked again is obeyed, up to `maxRetryAfterMs`. Else half of the time for sure
 * and half by chance. Either way those who failed together do not come back together.
 */
async function pause(round: Round, fruitless: number, asking: Asking): Promise<void> {
  const chance = asking.random() / 2;
  const grown = asking.firstPauseMs * 2 ** Math.max(0, fruitless - 1);
  const ownMs = Math.min(maxPauseMs, grown) * (0.5 + chance);
  const busyMs = Math.min(maxRetryAfterMs, round.busyMs ?? 0) * (1 + chance);
  const retryInMs = Math.round(Math.max(ownMs, busyMs));
  asking.onWaiting({ why: round.problems.join('; '), retryInMs });
  await sleep(retryInMs, asking.signal);
}

function giveUp(
  what: string,
  end: { readonly round: Round; readonly settled: Settled; readonly words: ServerWords },
): UserError {
  const { round, settled, words } = end;
  const why = [
    ...round.problems,
    ...[...settled].map(([{ name }, answer]) => `${name}${describeRefusal(answer, words)}`),
  ].join('; ');
  const answers = [...settled.values()];
  if (round.problems.length > 0 || answers.some(({ kind }) => kind === 'silent')) {
    return new UnreachableError({ what, why, fix: words.fix.unreachable });
  }
  const refusal = answers.find((answer) => answer.kind === 'refused');
  return new UserError({ what, why, fix: words.fix[refusal?.reason ?? 'unreachable'] });
}

function describeRefusal(answer: SettledAnswer, words: ServerWords): string {
  if (answer.kind === 'absent') return ' does not have it';
  if (answer.kind === 'silent' || answer.reason === 'wrong-content') return `: ${answer.why}`;
  return `: ${words.why[answer.reason]} (${answer.why})`;
}
