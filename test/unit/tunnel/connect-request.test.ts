import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  maxHeaderBytes,
  parseAuthority,
  parseConnectRequest,
  renderTarget,
} from '../../../src/tunnel/connect-request.ts';

const parse = (text: string) => parseConnectRequest(Buffer.from(text, 'latin1'));

describe('parseConnectRequest', () => {
  it('reads what kube-apiserver sends and ignores its Host header', () => {
    const text = 'CONNECT Node_B.Example.com:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    expect(parse(`${text}pipelined`)).toEqual({
      type: 'request',
      target: { host: 'node_b.example.com', port: 10250 },
      headerBytes: text.length,
    });
  });

  it('gives the same answer however the bytes are cut', () => {
    const text = 'CONNECT [FD00::1]:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    for (let length = 0; length < text.length; length += 1) {
      expect(parse(text.slice(0, length))).toEqual({ type: 'incomplete' });
    }
    expect(parse(text)).toMatchObject({ type: 'request', target: { host: 'fd00::1' } });
  });

  it.each([
    ['GET / HTTP/1.1\r\n\r\n', 405, 'only CONNECT is served here, not GET'],
    ['\x16\x03\x01\x02\x00', 400, 'this is not an HTTP CONNECT request'],
    ['connect a:1 HTTP/1.1\r\n\r\n', 400, 'this is not an HTTP CONNECT request'],
    ['CONNECT a:1\r\n\r\n', 400, 'malformed CONNECT request line'],
    ['CONNECT a:1 HTTP/2\r\n\r\n', 400, 'malformed CONNECT request line'],
    ['CONNECT a b:1 HTTP/1.1\r\n\r\n', 400, 'malformed CONNECT request line'],
    ['CONNECT a HTTP/1.1\r\n\r\n', 400, 'the CONNECT target is not <host>:<port>'],
    ['CONNECT http://a:1 HTTP/1.1\r\n\r\n', 400, 'the CONNECT target is not <host>:<port>'],
  ])('refuses %j', (text, status, reason) => {
    expect(parse(text)).toEqual({ type: 'invalid', status, reason });
  });

  it('refuses a header over the limit, finished or not', () => {
    const line = 'CONNECT a:1 HTTP/1.1\r\nX: ';
    const tooLong = line + 'x'.repeat(maxHeaderBytes);
    expect(parse(tooLong)).toMatchObject({ type: 'invalid', status: 431 });
    expect(parse(`${tooLong}\r\n\r\n`)).toMatchObject({ type: 'invalid', status: 431 });
    const exact = `${line}${'x'.repeat(maxHeaderBytes - line.length - 4)}\r\n\r\n`;
    expect(parse(exact)).toMatchObject({ type: 'request', headerBytes: maxHeaderBytes });
  });

  it('never throws and never finds a target outside its ranges', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, isPrefixed) => {
        const prefix = isPrefixed ? 'CONNECT ' : '';
        const parsed = parseConnectRequest(Buffer.concat([Buffer.from(prefix), bytes]));
        if (parsed.type !== 'request') return;
        expect(parsed.target.port).toBeGreaterThan(0);
        expect(parsed.target.port).toBeLessThan(65536);
        expect(parsed.target.host).toMatch(/^[a-z0-9._:-]+$/);
      }),
    );
  });
});

describe('parseAuthority', () => {
  it.each([
    'a:0',
    'a:65536',
    'a:010',
    ':1',
    '[::1',
    '[::1]',
    'fd00::1:10250',
    '[1.2.3.4]:1',
    '[]:1',
    'a%20:1',
    '[fe80::1%eth0]:1',
  ])('refuses %s', (text) => expect(parseAuthority(text)).toBeUndefined());

  it('is undone by renderTarget', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65535 }), (name, port) => {
        const target = { host: name.toLowerCase(), port };
        expect(parseAuthority(renderTarget(target))).toEqual(target);
      }),
    );
  });
});
