import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { parseJoinToken, redactTokens, renderJoinToken } from '../../../src/join/token.ts';
import type { JoinToken } from '../../../src/join/types.ts';

const secret = 's3cr3ts3cr3ts3cr';
const token: JoinToken = {
  role: 'worker',
  id: 'abc123',
  secret,
  caPin: 'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE',
  servers: ['192.0.2.10:9443', 'edge.example.com:19443'],
};
const text = renderJoinToken(token);

function refusalOf(bad: string): UserError {
  try {
    parseJoinToken(bad);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a join token', () => {
  it('is one short string that leaves the default port out', () => {
    expect(text).toMatch(
      /^mk1\.w\.abc123\.s3cr3ts3cr3ts3cr\.[\w-]{43}\.[a-z2-7]{6}@192\.0\.2\.10,edge\.example\.com:19443$/,
    );
    expect(text.length).toBeLessThan(140);
  });

  it('says what it was made from, also with white space around it', () => {
    expect(parseJoinToken(text)).toEqual(token);
    expect(parseJoinToken(`  ${text}\r\n`)).toEqual(token);
    const controller: JoinToken = { ...token, role: 'controller', servers: ['[fd00::4]:9443'] };
    const rendered = renderJoinToken(controller);
    expect(rendered).toMatch(/^mk1\.c\..*@\[fd00::4\]$/);
    expect(parseJoinToken(rendered)).toEqual(controller);
  });

  it.each([
    ['empty', ' \n', 'it is empty'],
    ['cut in its id', text.slice(0, 9), 'cut off after its id'],
    ['cut in its secret', text.slice(0, 20), 'cut off after its secret'],
    ['cut in its pin', text.slice(0, 50), 'cut off after its pin'],
    ['cut in its check', text.slice(0, text.indexOf('@')), 'cut off after its check'],
    ['cut before its servers', text.slice(0, text.indexOf('@') + 1), 'cut off after its "@"'],
    ['cut in its servers', text.slice(0, -3), 'mistyped or cut off'],
    ['mistyped in its secret', text.replace('s3cr3t', 's3cr3u'), 'mistyped or cut off'],
    ['mistyped in its id', text.replace('abc123', 'abc124'), 'mistyped or cut off'],
    ['mistyped in its pin', text.replace('AbCd', 'AbCD'), 'mistyped or cut off'],
    ['mistyped in its address', text.replace('192.0.2.10', '192.0.2.11'), 'mistyped or cut off'],
    ['longer than it was', `${text}x`, 'mistyped or cut off'],
    ['of another role by hand', text.replace('.w.', '.c.'), 'mistyped or cut off'],
    ['wrapped', `${text.slice(0, 40)}\n${text.slice(40)}`, 'white space within it'],
    ['of a newer version', text.replace('mk1', 'mk2'), 'version mk2'],
    ['of an unknown role', text.replace('.w.', '.x.'), 'role "x" is neither'],
    ['of a role that is a secret', text.replace('.w.', `.${secret}.`), 'its role is neither'],
    ['of another program', `abcdef.${secret}`, 'no token of mini-k8s'],
    ['of K3s', `K10abc::server:${secret}`, 'no token of mini-k8s'],
  ])('that is %s is refused with its own reason', (_what, bad, why) => {
    const error = refusalOf(bad);
    expect(error.why).toContain(why);
    expect(error.fix).toBeTruthy();
    expect(JSON.stringify([error.message, error.fix, error.stack])).not.toContain('cr3ts3cr');
  });

  it('is refused wherever one character is missing or changed', () => {
    for (let index = 0; index < text.length; index += 1) {
      const without = text.slice(0, index) + text.slice(index + 1);
      const changed = `${text.slice(0, index)}${text[index] === 'q' ? 'z' : 'q'}${text.slice(index + 1)}`;
      for (const bad of [without, changed, text.slice(0, index)]) {
        expect(refusalOf(bad).message).not.toContain(secret.slice(0, 8));
      }
    }
  });

  it.each(['https://192.0.2.10', '192.0.2.10:0', '192.0.2.10:99999', 'a b', 'user@host', '-x', ''])(
    'is not made with the server %j',
    (server) => {
      expect(() => renderJoinToken({ ...token, servers: [server] })).toThrow(/server/);
    },
  );

  it('needs a server', () => {
    expect(() => renderJoinToken({ ...token, servers: [] })).toThrow('0 servers');
  });
});

describe('redactTokens', () => {
  it('leaves the id and takes the secret, of whole tokens, of pieces and of bearer tokens', () => {
    for (const shown of [text, text.slice(0, 30), `Bearer abc123.${secret}`, `token=${text}\n`]) {
      const redacted = redactTokens(`before ${shown} after`);
      expect(redacted).not.toContain('cr3ts3cr');
      expect(redacted).toContain('abc123.<secret>');
      expect(redacted).toMatch(/^before .* after$/s);
    }
  });

  it('leaves other texts as they are', () => {
    const other = 'node edge-1 at 10.0.0.4:9443, kube-router 2.10.0, sha256:0123456789abcdef';
    expect(redactTokens(other)).toBe(other);
  });
});
