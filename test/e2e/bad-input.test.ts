import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { bundleArguments } from '../support/e2e/cluster.ts';
import { livingComponents } from '../support/e2e/faults.ts';
import {
  copyBundle,
  editIndex,
  executableBlob,
  refName,
  replaceFile,
} from '../support/e2e/faults-bundle.ts';
import { createProductNode, findProduct, nodePaths } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { CommandResult, TestNode } from '../support/node/types.ts';

const dataDir = '/var/lib/mini-k8s';
const configFile = '/etc/mini-k8s/config.yaml';
/** A broken copy of the bundle, in the node. */
const broken = '/var/tmp/broken-bundle';
/** A file system that a test makes as small or as read-only as it needs. */
const disk = '/var/tmp/disk';

describe.skipIf(nodeSkipReason() !== undefined)('bad input', () => {
  let node: TestNode;
  const controller = async (...args: readonly string[]) => {
    const result = await node.exec([nodePaths.executable, 'controller', ...args]);
    // The operator's log goes to stderr too; here it matters what the person is told.
    const stderr = result.stderr.replaceAll(/^\d{4}-\d\d-\d\dT\S+Z .*\n/gm, '');
    return { ...result, stderr };
  };
  const trusting = (sha256: string) => controller('--bundle', broken, '--trust-bundle', sha256);

  beforeAll(async () => {
    node = await createProductNode({ name: 'e2e-bad-input' });
  });
  afterAll(async () => {
    await node?.destroy();
  });
  /** Whatever was wrong: nothing runs, and nothing half-written is left. */
  afterEach(async () => {
    expect(await livingComponents(node)).toEqual([]);
    const find = `find ${dataDir} ${disk} /var/lib/kubelet /etc/cni /opt/cni -type f ! -path '*/store/oci-layout' ! -path '*/store/index.json'`;
    expect((await node.exec(['sh', '-c', find])).stdout).toBe('');
    const store = await node.exec(['cat', `${dataDir}/store/index.json`]);
    if (store.exitCode === 0) expect(JSON.parse(store.stdout)).toMatchObject({ manifests: [] });
    expect((await node.readFile('/proc/sys/kernel/panic')).trim()).not.toBe('10');
    await node.exec(['umount', disk]);
    await node.run(['rm', '-rf', dataDir, broken, disk, configFile]);
  });

  test('a service where neither systemd nor OpenRC runs', async () => {
    const result = await controller('install', ...bundleArguments());
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: Cannot install a service: neither systemd nor OpenRC runs this machine\nfix: .*foreground/,
    );
  });

  describe('in the configuration', () => {
    test('every problem is reported at once, each with its path', async () => {
      const [a = 0, b = 0] = node.address.split('.').map(Number);
      await node.writeFile(
        configFile,
        `spec:
  node: { name: Not_A_Name }
  network:
    podCIDR: ${a}.${b}.0.0/16
    serviceCIDR: ${a}.${b}.0.0/20
    clusterDomian: cluster.local
    nodePortRange: a lot
  storage: { etcd: { clientPort: 0 } }
`,
      );
      const errors = errorsOf(await controller(...bundleArguments()), 1);
      const wanted = [
        /^spec\.node\.name: is not a node name: lower-case letters/,
        /^spec\.network\.clusterDomian: unknown key; did you mean "clusterDomain"\?$/,
        /^spec\.network\.nodePortRange: is not a port range such as 30000-32767$/,
        /^spec\.storage\.etcd\.clientPort: .*>=1/,
        /^spec\.network\.podCIDR: \S+ overlaps spec\.network\.serviceCIDR \S+$/,
        new RegExp(
          `^spec\\.network\\.podCIDR: \\S+ contains this machine's address ${node.address} of eth0;`,
        ),
        new RegExp(
          `^spec\\.network\\.podCIDR: \\S+ contains this machine's default gateway ${node.gateway};`,
        ),
        new RegExp(
          `^spec\\.network\\.serviceCIDR: \\S+ contains this machine's address ${node.address} of eth0;`,
        ),
        new RegExp(
          `^spec\\.network\\.serviceCIDR: \\S+ contains this machine's default gateway ${node.gateway};`,
        ),
      ];
      const prefix = new RegExp(`^error: Cannot use configuration ${configFile}:\\d+: `);
      for (const error of errors) expect(error).toMatch(prefix);
      const said = errors.map((error) => error.replace(prefix, ''));
      for (const pattern of wanted) {
        expect(
          said.filter((text) => pattern.test(text)),
          `${pattern} in\n${said.join('\n')}`,
        ).toHaveLength(1);
      }
      expect(said).toHaveLength(wanted.length);
    });

    test('a malformed network', async () => {
      await node.writeFile(configFile, 'spec: { network: { podCIDR: 10.244.0.1/16 } }\n');
      expect(errorsOf(await controller(...bundleArguments()), 1)).toEqual([
        `error: Cannot use configuration ${configFile}:1: spec.network.podCIDR: is not an IPv4 network such as 10.244.0.0/16 (host bits must be zero)`,
      ]);
    });

    test('a file that is no YAML, and one that is not there', async () => {
      await node.writeFile(configFile, 'spec: [\n');
      const [error] = errorsOf(await controller(...bundleArguments()), 1);
      expect(error).toMatch(
        new RegExp(`^error: Cannot use configuration ${configFile}: .*line \\d`),
      );
      expect(await controller('--config', '/no/such.yaml')).toEqual({
        exitCode: 1,
        stdout: '',
        stderr:
          'error: Cannot read configuration /no/such.yaml: there is no such file\nfix: mini-k8s config default prints one to begin with\n',
      });
    });
  });

  describe('on the command line', () => {
    test('an unknown flag is a usage error with the nearest one', async () => {
      const { exitCode, stdout, stderr } = await controller('--bundel', 'x');
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^error: unknown option '--bundel'\n\(Did you mean --bundle\?\)\n/);
    });

    test('another user than root', async () => {
      const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      for (const [command, what] of [
        [['controller'], 'start the controller'],
        [['reset', '--yes'], 'reset this node'],
      ] as const) {
        expect(await node.exec([...asNobody, nodePaths.executable, ...command])).toEqual({
          exitCode: 1,
          stdout: '',
          stderr: `error: Cannot ${what}: it needs root, and this is uid 65534\nfix: run it with sudo\n`,
        });
      }
    });
  });

  describe('on the machine', () => {
    test('ports in use are all named, with the process that has each', async () => {
      const listen = (port: number) =>
        `socket(my $s${port}, 2, 1, 0); setsockopt($s${port}, 1, 2, 1); bind($s${port}, pack("S n x12", 2, ${port})) or die $!; listen($s${port}, 1);`;
      const script = `$0 = "squatter"; ${listen(6443)} ${listen(10250)} $| = 1; print "listening\\n"; sleep 60`;
      const squatter = node.spawn(['perl', '-e', script]);
      try {
        await waitFor(() => squatter.output().includes('listening'), {
          subject: 'the ports to be taken',
          timeoutMs: 10_000,
          describe: () => squatter.output(),
        });
        const pid = (await node.run(['pgrep', '-x', 'squatter'])).trim();
        const { exitCode, stderr } = await controller(...bundleArguments());
        expect(exitCode).toBe(1);
        expect(stderr).toBe(
          `error: Cannot start kube-apiserver: port 6443 is in use by pid ${pid} (squatter)\nfix: stop that process, or set spec.api.port\n` +
            `error: Cannot start kubelet: port 10250 is in use by pid ${pid} (squatter)\nfix: stop that process\n`,
        );
      } finally {
        squatter.kill('SIGKILL');
        await squatter.exited;
      }
    });

    test('a data directory on a read-only file system', async () => {
      await node.run(['mkdir', '-p', disk]);
      await node.run(['mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk]);
      expect(await controller('--data-dir', `${disk}/data`, ...bundleArguments())).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: `error: Cannot use data directory ${disk}/data: the file system is read-only\nfix: make room or choose another directory with --data-dir\n`,
      });
    });

    test('a data directory with too little room', async () => {
      await node.run(['mkdir', '-p', disk]);
      await node.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]);
      const { exitCode, stderr } = await controller(
        '--data-dir',
        `${disk}/data`,
        ...bundleArguments(),
      );
      expect(exitCode).toBe(1);
      expect(stderr).toBe(
        `error: Cannot use data directory ${disk}/data: only 64 MiB are free there, 256 MiB are needed\nfix: make room or choose another directory with --data-dir\n`,
      );
    });

    test('a disk that is too small for the bundle: what was written is taken away again', async () => {
      await node.run(['mkdir', '-p', disk]);
      await node.run(['mount', '-t', 'tmpfs', '-o', 'size=260m', 'tmpfs', disk]);
      const { exitCode, stderr } = await controller(
        ...['--data-dir', `${disk}/data`],
        ...bundleArguments(),
      );
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /^error: Cannot import \/opt\/mini-k8s\/bundle: .*(free|full).*\nfix: .*free .*\n$/,
      );
      expect(stderr).toContain(`${disk}/data`);
    });
  });

  describe('in the bundle', () => {
    // What it lacks would come from upstream, which nobody reaches here: half a minute until that is certain.
    beforeEach(() =>
      node.writeFile(configFile, 'spec: { artifacts: { upstream: { enabled: false } } }\n'),
    );

    test('there is none', async () => {
      const result = await controller('--bundle', '/no/bundle');
      const [error = '', ...rest] = errorsOf(result, 1);
      expect(error).toBe('error: Cannot import /no/bundle: there is no /no/bundle');
      expect(rest).toEqual([]);
      expect(result.stderr).toContain('fix: check the path of the bundle\n');
    });

    test('no bundle at all: every component that is lacking is named', async () => {
      const errors = errorsOf(await controller(), 1);
      expect(errors.join('\n')).toMatch(
        /^error: Cannot obtain kube-apiserver, .* of kubernetes 1\.\d+\.\d+ \(amd64|arm64\): /m,
      );
      expect(errors.join('\n')).toMatch(/^error: Cannot obtain etcd.* has none of it$/m);
    });

    test('no bundle and nobody who has the files: each that was asked is named', async () => {
      const mirror = 'http://127.0.0.1:9';
      await node.writeFile(
        configFile,
        `spec: { artifacts: { mirror: '${mirror}', upstream: { enabled: false } } }\n`,
      );
      const errors = errorsOf(await controller(), 1);
      expect(errors.at(-1)).toMatch(
        /^error: Cannot download .*: 127\.0\.0\.1:9: 127\.0\.0\.1:9 refuses connections$/,
      );
    });

    test('nobody said that it is trusted: the hash and the flag are shown', async () => {
      const { bundleSha256 } = findProduct();
      for (const given of [[], ['--trust-bundle', '0'.repeat(64)]]) {
        const { exitCode, stderr } = await controller('--bundle', nodePaths.bundle, ...given);
        expect(exitCode).toBe(1);
        const other =
          given.length === 0 ? '' : `; --trust-bundle names another bundle, ${given[1]}`;
        expect(stderr).toMatch(
          new RegExp(
            `^error: Cannot import ${nodePaths.bundle}: it is not trusted: .* was built from source${other}; the sha256 of its index.json is ${bundleSha256}\n` +
              `fix: if you know where it comes from, add --trust-bundle ${bundleSha256}\n$`,
          ),
        );
      }
    });

    test('a changed byte in an executable', async () => {
      await copyBundle(node, broken);
      const blob = await executableBlob(node, broken, 'etcd');
      await node.run(['sh', '-c', 'cp -L "$1" "$1.new" && mv "$1.new" "$1"', 'copy', blob]);
      const dd = ['dd', `of=${blob}`, 'bs=1', 'seek=1000000', 'conv=notrunc'];
      await node.run(dd, { input: 'damaged' });
      const { exitCode, stderr } = await trusting(findProduct().bundleSha256);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^error: Cannot .*sha256:[0-9a-f]{64}.*sha256:[0-9a-f]{64}/);
      expect(stderr).toMatch(/^fix: /m);
      expect(stderr).not.toContain('bug:');
    });

    test('an archive that ends in the middle', async () => {
      const archive = `${broken}.tar`;
      const tar = `tar -C ${nodePaths.bundle} -cf - oci-layout index.json blobs | head -c 60000000 > ${archive}`;
      await node.run(['sh', '-c', tar]);
      const trust = ['--trust-bundle', findProduct().bundleSha256];
      const { exitCode, stderr } = await controller('--bundle', archive, ...trust);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^error: Cannot import ${archive}: .*(ends|truncated|incomplete|cut)`),
      );
      expect(stderr).toMatch(/^fix: /m);
      await node.run(['rm', archive]);
    });

    test('an index that is no JSON', async () => {
      await copyBundle(node, broken);
      await replaceFile(node, `${broken}/index.json`, '{"manifests": [');
      const { exitCode, stderr } = await trusting('0'.repeat(64));
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(new RegExp(`^error: Cannot .*${broken}.*index\\.json`));
      expect(stderr).toMatch(/^fix: /m);
    });

    test('for another architecture', async () => {
      await copyBundle(node, broken);
      const [own, other] = process.arch === 'arm64' ? ['arm64', 'amd64'] : ['amd64', 'arm64'];
      const sha256 = await editIndex(node, broken, (entry) => ({
        ...entry,
        platform: { ...entry.platform, architecture: other ?? '' },
      }));
      expect(errorsOf(await trusting(sha256), 1)).toEqual([
        `error: Cannot import ${broken}: it is for ${other}, and this is for ${own}`,
      ]);
      expect(await node.exists(dataDir)).toBe(false);
    });

    test('with another version of a component', async () => {
      await copyBundle(node, broken);
      const sha256 = await editIndex(node, broken, (entry) => {
        const name = entry.annotations?.[refName] ?? '';
        if (!name.startsWith('etcd:')) return entry;
        return { ...entry, annotations: { ...entry.annotations, [refName]: 'etcd:3.4.1' } };
      });
      const errors = errorsOf(await trusting(sha256), 1);
      expect(errors).toHaveLength(1);
      expect(errors[0]).toMatch(
        new RegExp(
          `^error: Cannot obtain etcd.* of etcd 3\\.\\d+\\.\\d+ \\(\\w+\\): .*; bundle ${broken} has etcd 3\\.4\\.1 \\(\\w+\\)$`,
        ),
      );
      // What was sound stays in the store for the next try: the right bundle need only bring what is lacking.
      await node.run(['rm', '-rf', dataDir]);
    });
  });
});

/** The error lines; every line of stderr must be an error or a fix. */
function errorsOf({ exitCode, stderr }: CommandResult, wantedExitCode: number): readonly string[] {
  expect({ exitCode, stderr }).toMatchObject({ exitCode: wantedExitCode });
  const lines = stderr.trim().split('\n');
  for (const line of lines) expect(line).toMatch(/^(error|fix): /);
  return lines.filter((line) => line.startsWith('error: '));
}
