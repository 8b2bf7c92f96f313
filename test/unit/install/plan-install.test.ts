import { describe, expect, it } from 'vitest';
import { describeChange, describePlan } from '../../../src/install/compare-plan.ts';
import { diffLines } from '../../../src/install/diff-lines.ts';
import { planInstall } from '../../../src/install/plan-install.ts';
import {
  parseEnvironment,
  proxyEnvironment,
  renderEnvironment,
} from '../../../src/install/render-environment.ts';
import { renderOpenrcScript } from '../../../src/install/render-openrc-script.ts';
import { renderSystemdUnit } from '../../../src/install/render-systemd-unit.ts';
import type { InstallRequest } from '../../../src/install/types.ts';

const request: InstallRequest = {
  command: 'controller',
  args: ['--config', '/etc/mini-k8s/config.yaml'],
  dataDir: '/var/lib/mini-k8s',
  environment: {},
  allowsNegativeOomScore: true,
};
const service = {
  executable: '/usr/local/bin/mini-k8s',
  command: 'worker',
  args: [],
  dataDir: '/srv/data',
  allowsNegativeOomScore: true,
};

describe('planInstall', () => {
  it('puts a unit on a machine with systemd and a script on one with OpenRC', () => {
    expect(planInstall(request, 'systemd').files).toMatchObject([
      { path: '/etc/systemd/system/mini-k8s.service', mode: 0o644, uid: 0, gid: 0 },
    ]);
    expect(planInstall(request, 'OpenRC').files).toMatchObject([
      { path: '/etc/init.d/mini-k8s', mode: 0o755, uid: 0, gid: 0 },
    ]);
  });

  it('puts the schema beside the configuration, and how to reload it into the service', () => {
    const plan = planInstall({ ...request, schema: '{}\n' }, 'systemd');
    expect(plan.files.map(({ path, mode }) => [path, mode])).toEqual([
      ['/etc/mini-k8s/config.schema.json', 0o644],
      ['/etc/systemd/system/mini-k8s.service', 0o644],
    ]);
    expect(plan.files[1]?.content).toContain('\nExecReload=/usr/local/bin/mini-k8s reload\n');
    expect(planInstall(request, 'OpenRC').files[0]?.content).toMatch(
      /^extra_started_commands=reload$[\s\S]*^reload\(\) \{$[\s\S]*^\t\/usr\/local\/bin\/mini-k8s reload$/m,
    );
  });

  it('makes a user only for who asks for one', () => {
    const user = { name: 'etcd', id: 2379 };
    expect(planInstall({ ...request, user }, 'systemd').user).toEqual(user);
    expect(describePlan(planInstall({ ...request, user }, 'systemd'))).toContain('--- user etcd');
    expect(describePlan(planInstall(request, 'systemd'))).not.toContain('--- user');
  });

  it('keeps proxy settings, which may hold a password, in a file for root', () => {
    const environment = proxyEnvironment({
      https_proxy: 'http://me:secret@proxy:3128',
      NO_PROXY: '10.0.0.0/8',
      HTTP_PROXY: '',
      HOME: '/root',
    });
    const plan = planInstall({ ...request, environment }, 'systemd');
    expect(plan.files[0]).toMatchObject({
      path: '/etc/mini-k8s/environment',
      mode: 0o600,
      content: "HTTPS_PROXY='http://me:secret@proxy:3128'\nNO_PROXY='10.0.0.0/8'\n",
    });
    expect(plan.files[1]?.content).not.toContain('secret');
    expect(describePlan(plan)).not.toContain('secret');
    const before = "HTTPS_PROXY='http://me:older@proxy:3128'\n";
    const [file] = plan.files;
    if (file === undefined) throw new Error('the plan has an environment file');
    const told = describeChange({ type: 'file', file, before }).join('\n');
    expect(told).not.toMatch(/secret|older/);
  });

  it('cannot be talked into another variable by a line break', () => {
    expect(renderEnvironment({ HTTPS_PROXY: "x'\nLD_PRELOAD='y" })).toBe(
      "HTTPS_PROXY='xLD_PRELOAD=y'\n",
    );
  });

  it('is read back as it was written', () => {
    const environment = { HTTPS_PROXY: 'http://me:a=b%27 c@proxy:3128', NO_PROXY: '10.0.0.0/8' };
    expect(parseEnvironment(renderEnvironment(environment))).toEqual(environment);
    expect(parseEnvironment('# nothing\n')).toEqual({});
  });
});

describe('renderSystemdUnit', () => {
  it('starts at boot without a network, is watched, and leaves containers alone', () => {
    const lines = renderSystemdUnit(service).split('\n');
    for (const line of [
      'Type=notify',
      'NotifyAccess=all',
      'ExecStart=/usr/local/bin/mini-k8s worker',
      'RequiresMountsFor=/srv/data /var/lib/kubelet',
      'StartLimitIntervalSec=0',
      'TimeoutStartSec=infinity',
      'WatchdogSec=120',
      'Restart=always',
      'KillMode=process',
      'StandardError=journal',
      'Delegate=yes',
      'OOMPolicy=continue',
      'OOMScoreAdjust=-999',
      'WantedBy=multi-user.target',
    ]) {
      expect(lines).toContain(line);
    }
    const directives = lines.filter((line) => !line.startsWith('#')).join('\n');
    expect(directives).not.toContain('network-online');
    expect(directives).not.toMatch(/^(Protect|Private|NoNewPrivileges|SystemCall)/m);
  });

  it('asks for no negative score of the OOM killer where the machine refuses one', () => {
    const unit = renderSystemdUnit({ ...service, allowsNegativeOomScore: false });
    expect(unit).not.toContain('OOMScoreAdjust');
  });

  it.each([
    ['a b', '"a b"'],
    ['50%', '50%%'],
    ['$HOME', '$$HOME'],
    ['say "x"\\n', '"say \\"x\\"\\\\n"'],
    ['', '""'],
    ['example.com/rack=r1', 'example.com/rack=r1'],
  ])('hands %j over as one word', (word, rendered) => {
    const unit = renderSystemdUnit({ ...service, args: ['--labels', word] });
    expect(unit).toContain(`ExecStart=/usr/local/bin/mini-k8s worker --labels ${rendered}\n`);
  });
});

describe('renderOpenrcScript', () => {
  it('is kept running by supervise-daemon, and takes the pods along when the machine goes down', () => {
    const script = renderOpenrcScript({ ...service, args: ['--labels', "it's"] });
    expect(script).toMatch(/^#!\/sbin\/openrc-run\n/);
    expect(script).toContain('supervisor=supervise-daemon\ncommand=/usr/local/bin/mini-k8s\n');
    expect(script).toContain('respawn_max=0\n');
    expect(script).toContain('> /run/mini-k8s/end-pods');
    expect(script).toContain("command_args='worker --labels '\\''it'\\''\\'\\'''\\''s'\\'''\n");
  });
});

describe('diffLines', () => {
  it.each([
    ['a\nb\nc', 'a\nb\nc', []],
    ['a\nb\nc', 'a\nx\nc', ['-b', '+x']],
    ['a\nc', 'a\nb\nc', ['+b']],
    ['a\nb\nc', 'c', ['-a', '-b']],
    ['', 'a', ['-', '+a']],
  ])('from %j to %j', (before, after, changes) => {
    expect(diffLines(before, after)).toEqual(changes);
  });
});

describe('describeChange', () => {
  it('shows what changes in a file, and whether the executable is another build', () => {
    const [file] = planInstall(request, 'systemd').files;
    if (file === undefined) throw new Error('the plan has a unit');
    const before = file.content.replace(' --config /etc/mini-k8s/config.yaml', '');
    expect(describeChange({ type: 'file', file, before })).toEqual([
      '~ /etc/systemd/system/mini-k8s.service',
      '    -ExecStart=/usr/local/bin/mini-k8s controller',
      '    +ExecStart=/usr/local/bin/mini-k8s controller --config /etc/mini-k8s/config.yaml',
    ]);
    expect(describeChange({ type: 'executable', path: '/x', isNew: false })).toEqual([
      '~ /x (another build)',
    ]);
  });
});
