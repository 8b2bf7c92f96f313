import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConnectAnswer } from '../../../src/tunnel/connect-answer.ts';

const parse = (text: string) => parseConnectAnswer(Buffer.from(text, 'latin1'));

describe('parseConnectAnswer', () => {
  it.each([
    ['HTTP/1.1 200 Connection Established\r\n\r\n', 200, 'Connection Established'],
    ['HTTP/1.0 200\r\n\r\nSSH-2.0', 200, ''],
    [
      'HTTP/1.1 403 169.254.169.254:80 is link-local\r\nX: y\r\n\r\n',
      403,
      '169.254.169.254:80 is link-local',
    ],
    ['HTTP/1.1 504 \r\n\r\n', 504, ''],
  ])('reads %j', (text, status, reason) => {
    const headerBytes = text.indexOf('\r\n\r\n') + 4;
    expect(parse(text)).toEqual({ type: 'answer', status, reason, headerBytes });
  });

  it.each([
    'HTTP/1.1 201 Created\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 302 Found\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1 200OK\r\n\r\n',
    'HTTP/1.1\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'SSH-2.0-server\r\n',
    '\u0000',
  ])('refuses %j', (text) => {
    expect(parse(text).type).toBe('invalid');
  });

  it('waits for the end of the header, at most 16 KiB', () => {
    expect(parse('')).toEqual({ type: 'incomplete' });
    expect(parse('HTTP/1.1 200 OK\r\n\r')).toEqual({ type: 'incomplete' });
    const long = `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(16 * 1024)}`;
    expect(parse(long)).toMatchObject({ type: 'invalid' });
    expect(parse(`${long}\r\n\r\n`)).toMatchObject({ type: 'invalid' });
  });

  it('means the same however it is cut up', () => {
    const whole = 'HTTP/1.1 503 node edge-7 is busy\r\nContent-Length: 0\r\n\r\nrest';
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length }), (cut) => {
        const early = parse(whole.slice(0, cut));
        const isEarly = cut < whole.indexOf('\r\n\r\n') + 4;
        return early.type === (isEarly ? 'incomplete' : 'answer');
      }),
    );
  });

  it('never throws, whatever arrives', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseConnectAnswer(Buffer.from(bytes));
        parseConnectAnswer(Buffer.concat([Buffer.from('HTTP/1.1 '), bytes]));
      }),
    );
  });
});
