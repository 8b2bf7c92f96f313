import { UserError } from '../base/errors.ts';
import { sleep } from '../base/time.ts';
import type { ControllerConnection } from './controller-source-http.ts';

/** A gateway that artifacts can come from. */
export interface Controller {
  /** `10.0.0.4:9443` */
  readonly name: string;
  readonly connection: ControllerConnection;
}

/** What one controller's answer means. */
export type Answer<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** It may succeed later. `progressed`: something was won all the same. */
  | { readonly kind: 'failed'; readonly why: string; readonly progressed: boolean }
  | { readonly kind: 'busy'; readonly retryAfterMs: number }
  /** It does not have it. */
  | { readonly kind: 'absent' }
  /** It says no, is not of this cluster, or what it sent is wrong: asking again is of no use. */
  | { readonly kind: 'refused'; readonly why: string; readonly fix: string };

export interface Question<T> {
  /** The act, for messages: `download kubelet of kubernetes 1.37.1 (amd64)`. */
  readonly what: string;
  ask(controller: Controller): Promise<Answer<T>>;
  /** How often all controllers may fail in turn, without any progress, before that is the answer. */
  readonly rounds: number;
  /** One controller that does not have it speaks for those that cannot be reached. */
  readonly isAbsentWhenOneSaysSo: boolean;
}

export interface Asking {
  /** The one that had the last answer comes first: a dead one costs its time-out once. */
  readonly controllers: Controller[];
  readonly random: () => number;
  readonly firstPauseMs: number;
  readonly onWaiting: (waiting: { readonly why: string; readonly retryInMs: number }) => void;
  readonly signal: AbortSignal;
}

/** Doubled up to this: a controller that comes back is found soon, and a fleet does not keep it from coming. */
const maxPauseMs = 30_000;

/** A controller that serves a whole fleet at once is busy for minutes; this is about ten. */
const maxBusyRounds = 200;

/**
 * Asks the controllers in turn until one has the answer, with pauses that grow while nothing gets on.
 * @returns undefined when all that could answer do not have it.
 * @throws UserError with each controller's last word.
 */
export async function askControllers<T>(
  question: Question<T>,
  asking: Asking,
): Promise<T | undefined> {
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
    if (isHopeless || round.problems.length === 0) throw giveUp(question.what, round, settled);
    await pause(round, fruitless, asking);
  }
}

/** What will not change by asking again. */
type Settled = Map<Controller, Answer<never> & { readonly kind: 'absent' | 'refused' }>;

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
  for (const controller of [...asking.controllers]) {
    asking.signal.throwIfAborted();
    if (settled.has(controller)) continue;
    const answer = await question.ask(controller);
    if (answer.kind === 'done') {
      prefer(controller, asking.controllers);
      return answer;
    }
    if (answer.kind === 'absent' || answer.kind === 'refused') settled.set(controller, answer);
    else note(round, controller, answer);
  }
  return undefined;
}

/** Nobody has it: all say so, or one that could be asked where that is enough. */
function isAbsent(question: Question<unknown>, round: Round, settled: Settled): boolean {
  const kinds = [...settled.values()].map(({ kind }) => kind);
  if (!kinds.includes('absent')) return false;
  return round.problems.length === 0 ? !kinds.includes('refused') : question.isAbsentWhenOneSaysSo;
}

function prefer(controller: Controller, controllers: Controller[]): void {
  controllers.splice(controllers.indexOf(controller), 1);
  controllers.unshift(controller);
}

function note(
  round: Round,
  { name }: Controller,
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

/** Half of the time for sure and half by chance, so that those who failed together do not come back together. */
async function pause(round: Round, fruitless: number, asking: Asking): Promise<void> {
  const grown = asking.firstPauseMs * 2 ** Math.max(0, fruitless - 1);
  const longest = Math.min(maxPauseMs, Math.max(round.busyMs ?? 0, grown));
  const retryInMs = Math.round(longest * (0.5 + asking.random() / 2));
  asking.onWaiting({ why: round.problems.join('; '), retryInMs });
  await sleep(retryInMs, asking.signal);
}

function giveUp(what: string, round: Round, settled: Settled): UserError {
  const words = [...settled].map(([{ name }, answer]) =>
    answer.kind === 'absent' ? `${name} does not have it` : `${name}: ${answer.why}`,
  );
  const refusal = [...settled.values()].find((answer) => answer.kind === 'refused');
  return new UserError({
    what,
    why: [...round.problems, ...words].join('; '),
    fix:
      round.problems.length === 0 && refusal !== undefined
        ? refusal.fix
        : 'check that this machine reaches a controller at that address and port, and start again',
  });
}
