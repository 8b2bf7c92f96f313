import { describe, expect, it } from 'vitest';
import { type Applicant, createAdmission } from '../../../src/gateway/admission.ts';
import { defaultLimits } from '../../../src/gateway/connections.ts';
import { reconnectDelayMs } from '../../../src/tunnel/backoff.ts';
import { createRandom } from '../../bench/soak/random.ts';

function setUp() {
  const begun: Applicant[] = [];
  const clock = { nowMs: 0 };
  const limits = { handshakes: 4, handshakesPerAddress: 2, waiting: 4, waitingPerAddress: 3 };
  const admission = createAdmission(limits, () => clock.nowMs);
  const arrive = (remoteAddress: string) => {
    const applicant: Applicant = { remoteAddress, begin: () => begun.push(applicant) };
    return { applicant, hasRoom: admission.apply(applicant) };
  };
  return { admission, begun, arrive, clock };
}

describe('who may begin a handshake', () => {
  it('lets one address have its share and others go past it', () => {
    const { admission, begun, arrive } = setUp();
    const a = Array.from({ length: 5 }, () => arrive('a'));
    const b = arrive('b');
    expect(begun.map(({ remoteAddress }) => remoteAddress)).toEqual(['a', 'a', 'b']);
    expect(a.map(({ hasRoom }) => hasRoom)).toEqual([true, true, true, true, true]);
    expect(arrive('a').hasRoom).toBe(false);
    expect(admission.waiting).toBe(3);
    admission.leave(b.applicant);
    expect(begun).toHaveLength(3);
    admission.leave(a[0]?.applicant as Applicant);
    expect(begun.at(-1)).toBe(a[2]?.applicant);
  });

  it('takes the first of those that wait whose address has a share left', () => {
    const { admission, begun, arrive } = setUp();
    const first = ['a', 'a', 'b', 'c'].map((address) => arrive(address).applicant);
    const waiting = ['a', 'a', 'b', 'd'].map((address) => arrive(address).applicant);
    expect(begun).toEqual(first);
    admission.leave(first[2] as Applicant);
    expect(begun.at(-1)).toBe(waiting[2]);
    admission.leave(first[0] as Applicant);
    expect(begun.at(-1)).toBe(waiting[0]);
  });

  it('passes over those that have waited too long, and then takes the last of them', () => {
    const { admission, begun, arrive, clock } = setUp();
    const first = ['a', 'a', 'b', 'b'].map((address) => arrive(address).applicant);
    const [c, d] = [arrive('c').applicant, arrive('d').applicant];
    clock.nowMs = 5_000;
    const e = arrive('e').applicant;
    clock.nowMs = 8_001;
    for (const applicant of first.slice(0, 3)) admission.leave(applicant);
    expect(begun.slice(4)).toEqual([e, d, c]);
  });

  it('has a bound on all that wait', () => {
    const { arrive } = setUp();
    const addresses = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    expect(addresses.filter((address) => arrive(address).hasRoom)).toHaveLength(8);
  });

  it('forgets those that go while they wait, and hears of an end twice', () => {
    const { admission, begun, arrive } = setUp();
    const [first] = [arrive('a'), arrive('a')];
    const gone = arrive('a');
    admission.leave(gone.applicant);
    admission.leave(gone.applicant);
    admission.leave(first.applicant);
    admission.leave(first.applicant);
    expect(begun).toHaveLength(2);
    expect([admission.waiting, admission.handshaking]).toEqual([0, 1]);
  });
});

describe('agents that all come at one moment and give up after 15 s', () => {
  it.each([
    [3_000, 40],
    [3_000, 400],
    [1_000, 40],
  ])('all %i get in where %i handshakes a second are possible', (agents, perSecond) => {
    const { doneAfterS, wasted } = simulate({ agents, perSecond });
    // No more than the handshakes themselves take, and what a delay of 30 s at most adds.
    expect(doneAfterS).toBeLessThan((agents / perSecond) * 1.2 + 40);
    expect(wasted).toBeLessThan(agents / 20);
  });
});

interface SimulatedAgent {
  readonly applicant: Applicant;
  state: 'away' | 'waiting' | 'begun' | 'in';
  /** When it calls next, or has called. */
  atMs: number;
  attempt: number;
  /** Of a handshake, 0 to 1. */
  progress: number;
}

/** A processor that is shared by all handshakes in progress, and agents as they are. */
function simulate({ agents, perSecond }: { agents: number; perSecond: number }) {
  const stepMs = 100;
  const patienceMs = 15_000;
  let nowMs = 0;
  let wasted = 0;
  const random = createRandom(1).next;
  const admission = createAdmission(defaultLimits, () => nowMs);
  const all = Array.from({ length: agents }, (_, index): SimulatedAgent => {
    const begin = () => {
      agent.state = 'begun';
    };
    const applicant = { remoteAddress: `site ${index % 10}`, begin };
    const agent: SimulatedAgent = { applicant, state: 'away', atMs: 0, attempt: 0, progress: 0 };
    return agent;
  });
  const goAway = (agent: SimulatedAgent) => {
    wasted += agent.progress;
    agent.state = 'away';
    agent.progress = 0;
    const outage = { attempt: agent.attempt, downMs: nowMs };
    agent.attempt += 1;
    agent.atMs = nowMs + reconnectDelayMs(outage, random());
  };
  const call = (agent: SimulatedAgent) => {
    agent.atMs = nowMs;
    agent.state = 'waiting';
    if (!admission.apply(agent.applicant)) goAway(agent);
  };
  const step = (agent: SimulatedAgent, share: number) => {
    if (agent.state === 'in') return;
    if (agent.state === 'away') {
      if (agent.atMs <= nowMs) call(agent);
      return;
    }
    if (agent.state === 'begun') agent.progress += share;
    const isIn = agent.progress >= 1;
    if (!isIn && nowMs - agent.atMs < patienceMs) return;
    if (isIn) agent.state = 'in';
    else goAway(agent);
    admission.leave(agent.applicant);
  };
  while (all.some(({ state }) => state !== 'in') && nowMs < 600_000) {
    nowMs += stepMs;
    const share = (perSecond * stepMs) / 1000 / Math.max(1, admission.handshaking);
    for (const agent of all) step(agent, share);
  }
  return { doneAfterS: nowMs / 1000, wasted };
}
