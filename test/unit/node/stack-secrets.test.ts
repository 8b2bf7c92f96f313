import { describe, expect, it } from 'vitest';
import { redactPlan } from '../../../src/node/redact-plan.ts';
import { fillStackSecrets, passwordOf } from '../../../src/node/stack-secrets.ts';
import { planFor } from '../../support/plan-inputs.ts';

const reference = (name: string) => `\${secret:${name}}`;
const metadata = { name: 'a', namespace: 'kube-system' };
const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata,
  stringData: { url: `https://u:${reference('one')}@host:9443` },
};
const resolve = (name: string) => {
  if (name === 'one') return '+/+/+w==';
  throw new Error(`no secret ${name}`);
};

describe('fillStackSecrets', () => {
  it('fills a Secret with a password that can stand in a URL', () => {
    const [stack] = fillStackSecrets([{ name: 's', objects: [secret] }], resolve);
    const filled = stack?.objects[0] as unknown as { data: { url: string }; stringData?: unknown };
    const url = Buffer.from(filled.data.url, 'base64').toString();
    expect(new URL(url).password).toBe('-_-_-w');
    expect(passwordOf('+/+/+w==')).toBe('-_-_-w');
    expect(filled.stringData).toBeUndefined();
  });

  it('leaves other objects as they are', () => {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { x: reference('one') } };
    expect(fillStackSecrets([{ name: 's', objects: [map] }], resolve)).toEqual([
      { name: 's', objects: [map] },
    ]);
  });

  it('throws for a secret that nobody has', () => {
    const other = { ...secret, stringData: { url: reference('two') } };
    expect(() => fillStackSecrets([{ name: 's', objects: [other] }], resolve)).toThrow('two');
  });
});

describe('the plan of a controller', () => {
  it('has every secret that its stacks refer to, and none of them in its text', async () => {
    const plan = await planFor();
    const used = new Set(
      [...JSON.stringify(plan.stacks).matchAll(/\$\{secret:([a-z0-9-]+)\}/g)].map(
        ([, name]) => name,
      ),
    );
    expect([...used]).toEqual(['metrics-proxy-password']);
    expect(plan.pki.secrets.map(({ name }) => name)).toEqual(expect.arrayContaining([...used]));
    expect(JSON.stringify(redactPlan(plan))).toContain(reference('metrics-proxy-password'));
    const off = await planFor({ spec: '  addons: {metricsServer: {enabled: false}}' });
    expect(off.pki.secrets.map(({ name }) => name)).not.toContain('metrics-proxy-password');
  });
});
