import { describe, expect, test } from 'vitest';
import { parseConnectReply } from '../../../src/base/dial-proxy.ts';
import { UserError } from '../../../src/base/errors.ts';
import { parseHostPort, renderHostPort } from '../../../src/base/host-port.ts';
import { proxyFor, proxySettingsFrom, renderProxy } from '../../../src/base/proxy-settings.ts';

describe('the proxy of an environment', () => {
  test('is none without HTTPS_PROXY', () => {
    expect(proxySettingsFrom({})).toBeUndefined();
    expect(proxySettingsFrom({ HTTPS_PROXY: ' ', HTTP_PROXY: 'http://a:1' })).toBeUndefined();
  });

  test.each([
    ['http://proxy.corp:3128', { protocol: 'http', host: 'proxy.corp', port: 3128 }],
    ['proxy.corp:3128', { protocol: 'http', host: 'proxy.corp', port: 3128 }],
    ['http://proxy.corp/', { protocol: 'http', host: 'proxy.corp', port: 80 }],
    ['https://proxy.corp', { protocol: 'https', host: 'proxy.corp', port: 443 }],
    ['http://[fd00::1]:3128', { protocol: 'http', host: 'fd00::1', port: 3128 }],
  ])('%s', (url, proxy) => {
    expect(proxySettingsFrom({ HTTPS_PROXY: url })).toEqual({ proxy, exceptions: [] });
  });

  test('takes the lower-case form first', () => {
    const env = {
      HTTPS_PROXY: 'http://a:1',
      https_proxy: 'http://b:2',
      NO_PROXY: 'x',
      no_proxy: 'y',
    };
    expect(proxySettingsFrom(env)).toMatchObject({ proxy: { host: 'b' }, exceptions: ['y'] });
  });

  test('has user and password decoded', () => {
    const settings = proxySettingsFrom({ HTTPS_PROXY: 'http://us%40er:p%3A%25w@proxy:1' });
    const expected = `Basic ${Buffer.from('us@er:p:%w').toString('base64')}`;
    expect(settings?.proxy.authorization).toBe(expected);
    expect(renderProxy(settings?.proxy ?? { protocol: 'http', host: '', port: 0 })).toBe('proxy:1');
  });

  test.each([
    'socks5://user:hunter2@proxy:1080',
    'http://user:hunter2@:1/',
    'http://user:hunter2@a b',
  ])('that is no URL of a proxy is refused without telling the password: %s', (HTTPS_PROXY) => {
    const read = () => proxySettingsFrom({ HTTPS_PROXY });
    expect(read).toThrow(UserError);
    expect(read).toThrow(/environment variable HTTPS_PROXY/);
    expect(read).not.toThrow(/hunter2/);
  });
});

describe('exceptions from the proxy', () => {
  const isDirect = (exceptions: string, host: string, port = 6443) =>
    proxyFor(proxySettingsFrom({ HTTPS_PROXY: 'http://p:1', NO_PROXY: exceptions }), {
      host,
      port,
    }) === undefined;

  test.each([
    ['*', 'anything.example'],
    ['10.0.0.4', '10.0.0.4'],
    ['10.0.0.0/8', '10.200.3.4'],
    ['10.0.0.1/8', '10.200.3.4'],
    ['fd00::/8', 'fd12::1'],
    ['fd00::1', 'fd00:0::1'],
    ['[fd00::1]:6443', 'fd00::1'],
    ['a.example', 'a.example'],
    ['a.example', 'A.Example.'],
    ['example', 'a.example'],
    ['.example', 'a.b.example'],
    ['*.example', 'a.example'],
    ['a.example:6443', 'a.example'],
    ['10.0.0.4:6443', '10.0.0.4'],
    ['x, y z,a.example', 'a.example'],
    ['', 'localhost'],
    ['', '127.3.2.1'],
    ['', '::1'],
  ])('%j lets %s go straight', (exceptions, host) => {
    expect(isDirect(exceptions, host)).toBe(true);
  });

  test.each([
    ['', '10.0.0.4'],
    ['10.0.0.5', '10.0.0.4'],
    ['10.0.0.0/24', '10.0.1.4'],
    ['10.0.0.0/33', '10.0.0.4'],
    ['10.0.0.0/', '10.0.0.4'],
    ['nonsense/8', '10.0.0.4'],
    ['10.0.0.0/8', 'ten.example'],
    ['.example', 'example'],
    ['ample', 'a.example'],
    ['a.example:9443', 'a.example'],
    ['.0.0.4', '10.0.0.4'],
    ['fd00::/8', '10.0.0.4'],
  ])('%j leaves %s to the proxy', (exceptions, host) => {
    expect(isDirect(exceptions, host)).toBe(false);
  });
});

describe('host and port', () => {
  test.each([
    ['a.example:9443', { host: 'a.example', port: 9443 }],
    ['10.0.0.4', { host: '10.0.0.4', port: 443 }],
    ['[fd00::1]:9443', { host: 'fd00::1', port: 9443 }],
    ['[fd00::1]', { host: 'fd00::1', port: 443 }],
    ['fd00::1', { host: 'fd00::1', port: 443 }],
  ])('%s', (text, expected) => {
    expect(parseHostPort(text, 443)).toEqual(expected);
  });

  test.each([
    '',
    ':443',
    'a:0',
    'a:65536',
    'a:b',
    'a b:1',
    '[a]:1',
    'https://a:1',
    'u@a:1',
    'a:1:2',
  ])('not %j', (text) => {
    expect(parseHostPort(text, 443)).toBeUndefined();
  });

  test('no port is none without a default', () => {
    expect(parseHostPort('a')).toBeUndefined();
  });

  test('an IPv6 address gets its brackets back', () => {
    expect(renderHostPort({ host: 'fd00::1', port: 1 })).toBe('[fd00::1]:1');
    expect(renderHostPort({ host: 'a', port: 1 })).toBe('a:1');
  });
});

describe("a proxy's answer", () => {
  const parse = (text: string) => parseConnectReply(Buffer.from(text, 'latin1'));

  test('is read up to the end of its header', () => {
    const header = 'HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n';
    expect(parse(`${header}rest`)).toEqual({
      type: 'reply',
      status: 200,
      reason: 'Connection established',
      headerBytes: header.length,
    });
  });

  test('may come without a reason', () => {
    expect(parse('HTTP/1.0 403\r\n\r\n')).toMatchObject({ status: 403, reason: '' });
  });

  test('shows nothing that a terminal would obey', () => {
    expect(parse('HTTP/1.1 403 \x1b[31mno\r\n\r\n')).toMatchObject({ reason: '?[31mno' });
  });

  test('is waited for, but not for ever', () => {
    expect(parse('HTTP/1.1 200 OK\r\nVia: ')).toEqual({ type: 'incomplete' });
    expect(parse(`HTTP/1.1 200 OK\r\nVia: ${'x'.repeat(17_000)}`)).toEqual({ type: 'invalid' });
    expect(parse('SSH-2.0-x\r\n\r\n')).toEqual({ type: 'invalid' });
  });
});
