import { describe, expect, test } from 'vitest';
import { explainGoFailure } from '../../../../scripts/components/go-failure.ts';

describe('explainGoFailure', () => {
  test.each([
    [
      'go: k8s.io/kubernetes@v1.37.1: reading https://proxy.example/k8s.io/kubernetes/@v/v1.37.1.mod: 403 Forbidden',
      'module k8s.io/kubernetes@v1.37.1 was refused: reading https://proxy.example/k8s.io/kubernetes/@v/v1.37.1.mod: 403 Forbidden',
    ],
    [
      'go: downloading github.com/a/b v1.2.3\n../../mod/x.go:12:2: github.com/a/b@v1.2.3: Get "https://proxy.example/x": dial tcp: lookup proxy.example: no such host',
      'module github.com/a/b@v1.2.3 was refused: Get "https://proxy.example/x": dial tcp: lookup proxy.example: no such host',
    ],
    [
      'verifying github.com/a/b@v1.2.3: checksum mismatch\n\tdownloaded: h1:x\n\tgo.sum: h1:y\n\nSECURITY ERROR',
      'module github.com/a/b@v1.2.3 is not what go.sum says (checksum mismatch)',
    ],
    [
      'tools.go:7:2: missing go.sum entry for module providing package github.com/a/b/c; to add:\n\tgo mod tidy',
      'go.mod and go.sum are out of step at github.com/a/b/c',
    ],
    ['go: updates to go.mod needed', 'go.mod and go.sum are out of step'],
    [
      '# runtime/cgo\ncgo: C compiler "aarch64-linux-gnu-gcc" not found: exec: "aarch64-linux-gnu-gcc": executable file not found in $PATH',
      'aarch64-linux-gnu-gcc is missing',
    ],
    [
      "# pkg-config --cflags -- libseccomp\nPackage libseccomp was not found in the pkg-config search path.\nPackage 'libseccomp', required by 'virtual:world', not found",
      'the C library libseccomp is missing for the target architecture',
    ],
    [
      'go: download go1.26.8 for linux/amd64: toolchain not available',
      'the Go tool chain go1.26.8 cannot be downloaded',
    ],
    [
      'go: downloading sigs.k8s.io/cri-tools v1.36.0\nmodule lookup disabled by GOPROXY=off',
      'a module is not in the module cache, and GOPROXY=off forbids to fetch it',
    ],
    ['write /tmp/go-build1/b001/x.a: no space left on device', 'the disk is full'],
  ])('says what a person can mend: %s', (output, why) => {
    const error = explainGoFailure('etcd', output);
    expect(error.message).toBe(`Cannot build etcd: ${why}`);
    expect(error.message).not.toContain('\n');
    expect(error.fix).toBeDefined();
  });

  test('shows the last lines of anything else', () => {
    const output = Array.from({ length: 40 }, (_, line) => `./x.go:${line}: undefined: y`).join(
      '\n',
    );
    const { message } = explainGoFailure('etcd', output);
    expect(message).toContain('Cannot build etcd: go build failed:\n');
    expect(message).toContain('./x.go:39: undefined: y');
    expect(message).not.toContain('./x.go:20:');
  });
});
