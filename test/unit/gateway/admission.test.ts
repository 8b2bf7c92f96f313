import { describe, expect, it } from 'vitest';
import { type Applicant, createAdmission } from '../../../src/gateway/admission.ts';

function setUp() {
  const begun: Applicant[] = [];
  const admission = createAdmission({
    handshakes: 4,
    handshakesPerAddress: 2,
    waiting: 4,
    waitingPerAddress: 3,
  });
  const arrive = (remoteAddress: string) => {
    const applicant: Applicant = { remoteAddress, begin: () => begun.push(applicant) };
    return { applicant, hasRoom: admission.apply(applicant) };
  };
  return { admission, begun, arrive };
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
