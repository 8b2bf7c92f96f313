import { expect, test } from 'vitest';
import { isBelow, selectMounts } from '../../../src/host/mounts.ts';

const mountinfo = `21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 21 0:5 / /var/lib/kubelet rw - ext4 /dev/sdb rw
31 30 0:6 / /var/lib/kubelet/pods/a/volumes/b rw - tmpfs tmpfs rw
32 31 0:7 / /var/lib/kubelet/pods/a/volumes/b/with\\040space rw - tmpfs tmpfs rw
33 21 0:8 / /var/lib/kubelet-of-others/pods rw - tmpfs tmpfs rw
`;

test('mounts below a directory, the last made first, without the one at it', () => {
  expect(selectMounts(mountinfo, isBelow(['/var/lib/kubelet', '/run/none']))).toEqual([
    '/var/lib/kubelet/pods/a/volumes/b/with space',
    '/var/lib/kubelet/pods/a/volumes/b',
  ]);
});
