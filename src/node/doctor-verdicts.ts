import { tunnelProtocol } from '../base/gateway-names.ts';
import { renderHostPort } from '../base/host-port.ts';
import type {
  AnswerFinding,
  DoctorCheck,
  EndpointProbe,
  RouteFinding,
  TcpFinding,
  TlsFinding,
  TunnelFinding,
} from './doctor-types.ts';

/** Certificates are valid from five minutes before they are made, and tokens live for minutes. */
const clockLimitsMs = { warn: 10_000, fail: 240_000 };
/** IPv6 and most tunnels allow this much; below it something on the way is set up wrongly. */
const smallestMtuBytes = 1280;

export interface VerdictContext {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

type Verdict = Omit<DoctorCheck, 'address'>;

/** What the findings at an endpoint mean, one line each. Pure. */
export function judgeEndpoint(probe: EndpointProbe, context: VerdictContext): DoctorCheck[] {
  const { tcp, route, tls, answer, bigAnswer, tunnel } = probe;
  const verdicts = [
    judgeTcp(probe, tcp),
    ...(tls === undefined ? [] : [judgeTls(probe, tls, context)]),
    ...(answer === undefined ? [] : [judgeAnswer(probe, answer)]),
    ...(answer === undefined ? [] : judgeClock(answer)),
    ...(route === undefined ? [] : [judgePacketSize(route, answer, bigAnswer)]),
    ...(tunnel === undefined ? [] : [judgeTunnel(tunnel)]),
  ];
  return verdicts.map((verdict) => ({
    address: renderHostPort(probe.endpoint.address),
    ...verdict,
  }));
}

function judgeTcp({ endpoint, proxy }: EndpointProbe, tcp: TcpFinding): Verdict {
  const way = proxy === undefined ? '' : ` through proxy ${proxy}`;
  if (tcp.type === 'connected') {
    const what = `answers in ${Math.max(1, Math.round(tcp.elapsedMs))} ms${way}`;
    return { check: 'tcp', state: 'ok', what };
  }
  if (endpoint.isLearned) {
    const why = `${tcp.message}; the API names it, but other addresses are enough`;
    return { check: 'tcp', state: 'warn', what: `cannot be reached${way}`, why };
  }
  return {
    check: 'tcp',
    state: 'fail',
    what: `cannot be reached${way}`,
    why: tcp.message,
    fix: fixForTcp(tcp.code, { endpoint, proxy }),
  };
}

function fixForTcp(
  code: string,
  { endpoint, proxy }: Pick<EndpointProbe, 'endpoint'> & { readonly proxy: string | undefined },
): string {
  const { port } = endpoint.address;
  if (code === 'EPROXY') {
    return `let the proxy connect to port ${port} of the controller, or name the controller in NO_PROXY`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'check the name and /etc/resolv.conf';
  if (proxy !== undefined) return 'check HTTPS_PROXY, or name the controller in NO_PROXY';
  if (code === 'ECONNREFUSED') {
    return 'check that mini-k8s runs on the controller (mini-k8s status there), and the address';
  }
  return `open TCP port ${port} from this machine to the controller, and check the address`;
}

function judgeTls(probe: EndpointProbe, tls: TlsFinding, { nowMs }: VerdictContext): Verdict {
  if (tls.type === 'failed') {
    return {
      check: 'tls',
      state: 'fail',
      what: 'TLS cannot be established',
      why: tls.message,
      fix: 'check that the address and the port are those of the controller, and what stands between',
    };
  }
  if (tls.problem === undefined) {
    const why = 'this machine has not joined a cluster, so there is no CA to check it with';
    const what = `shows a certificate whose authority has the pin ${tls.authorityPin}`;
    return {
      check: 'tls',
      state: 'warn',
      what,
      why,
      fix: 'compare the pin with that in the token',
    };
  }
  if (tls.problem === '') {
    return { check: 'tls', state: 'ok', what: `is of this cluster (CA pin ${tls.authorityPin})` };
  }
  return { check: 'tls', state: 'fail', ...explainCertificate(probe, { ...tls, nowMs }) };
}

function explainCertificate(
  { endpoint }: EndpointProbe,
  tls: Extract<TlsFinding, { type: 'established' }> & { readonly nowMs: number },
): Pick<Verdict, 'what' | 'why' | 'fix'> {
  const what = 'its certificate is not accepted';
  const dates = `it is valid from ${iso(tls.notBeforeMs)} to ${iso(tls.notAfterMs)}, and this machine's clock says ${iso(tls.nowMs)}`;
  switch (tls.problem) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return { what, why: dates, fix: 'set the clock that is wrong (date -u shows it)' };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        what,
        why: `it is of ${tls.subject}, which is no ${endpoint.kind === 'api' ? 'kube-apiserver' : 'gateway'}`,
        fix: 'check the port',
      };
    default:
      return {
        what,
        why: `it was signed by ${tls.issuer} and not by this cluster's CA (${tls.problem})`,
        fix: 'except the controller from TLS inspection, or join again with a fresh token if the cluster is a new one',
      };
  }
}

function judgeAnswer({ endpoint }: EndpointProbe, answer: AnswerFinding): Verdict {
  const name = endpoint.kind === 'api' ? 'kube-apiserver' : 'the gateway';
  if (answer.type === 'failed') {
    const fix = 'look at mini-k8s status on the controller';
    return {
      check: 'answer',
      state: 'fail',
      what: `${name} does not answer`,
      why: answer.message,
      fix,
    };
  }
  const { status } = answer;
  // The gateway has no such path; that it says so is the answer.
  const isGood = endpoint.kind === 'gateway' ? status < 500 : [200, 401, 403].includes(status);
  if (isGood) {
    const what = status === 200 ? `${name} is ready` : `${name} answers`;
    return { check: 'answer', state: 'ok', what };
  }
  return {
    check: 'answer',
    state: endpoint.isLearned ? 'warn' : 'fail',
    what: `${name} is not ready`,
    why: `/readyz answered ${status}`,
    fix: 'look at mini-k8s status on the controller',
  };
}

function judgeClock(answer: AnswerFinding): Verdict[] {
  if (answer.type === 'failed' || answer.clockDifferenceMs === undefined) return [];
  const aheadMs = answer.clockDifferenceMs;
  const offMs = Math.abs(aheadMs);
  if (offMs < clockLimitsMs.warn) {
    return [{ check: 'clock', state: 'ok', what: 'the clocks agree' }];
  }
  return [
    {
      check: 'clock',
      state: offMs < clockLimitsMs.fail ? 'warn' : 'fail',
      what: `its clock is ${renderDuration(offMs)} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's`,
      why: 'certificates and tokens are valid for a time, as each clock sees it',
      fix: 'set the clock that is wrong (timedatectl set-ntp true)',
    },
  ];
}

function judgePacketSize(
  route: RouteFinding,
  answer: AnswerFinding | undefined,
  bigAnswer: AnswerFinding | undefined,
): Verdict {
  const source = route.isLearned ? 'as a router on the way asked for' : 'as the interface is set';
  const what = `packets of up to ${route.mtuBytes} bytes leave by ${route.interface}, ${source}`;
  if (answer?.type === 'answered' && bigAnswer?.type === 'failed') {
    return {
      check: 'packet-size',
      state: 'fail',
      what: 'big packets get lost on the way',
      why: `a small request is answered, one of several packets is not: ${bigAnswer.message}; ${what}`,
      fix: `let ICMP "fragmentation needed" pass, or set a smaller MTU: ip link set dev ${route.interface} mtu 1400`,
    };
  }
  if (route.mtuBytes >= smallestMtuBytes) return { check: 'packet-size', state: 'ok', what };
  const why = `less than ${smallestMtuBytes} bytes is unusual`;
  return {
    check: 'packet-size',
    state: 'warn',
    what,
    why,
    fix: `check the MTU of ${route.interface}`,
  };
}

function judgeTunnel(tunnel: TunnelFinding): Verdict {
  if (tunnel.type === 'failed' || tunnel.protocol === '') {
    return {
      check: 'tunnel',
      state: 'fail',
      what: "the tunnel's protocol does not come through",
      why: tunnel.type === 'failed' ? tunnel.message : 'the other side did not choose it',
      fix: `let the firewall pass TLS with the application protocol ${tunnelProtocol}`,
    };
  }
  return { check: 'tunnel', state: 'ok', what: `${tunnel.protocol} comes through` };
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace('.000', '');
}

function renderDuration(ms: number): string {
  const units: readonly [number, string][] = [
    [86_400_000, 'days'],
    [3_600_000, 'hours'],
    [60_000, 'minutes'],
  ];
  const [sizeMs, name] = units.find(([size]) => ms >= 2 * size) ?? [1_000, 'seconds'];
  return `${Math.round(ms / sizeMs)} ${name}`;
}
