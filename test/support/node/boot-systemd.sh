#!/bin/sh
# Makes a node ready for systemd and becomes it (create-systemd-machine.ts starts it as the node's PID 1).
#
# The host's own services are not part of the machine, and neither is whatever would change the whole kernel: sysctls,
# binfmt, modules, udev, terminals. /dev has device nodes of its own: systemd changes the owner of some, puts links
# beside them, and must not do so on the host.
set -eu

mount --make-rprivate /
own=/run/own-dev
mkdir "$own"
mount -t tmpfs -o mode=755,nosuid tmpfs "$own"
mkdir "$own/pts" "$own/shm" "$own/mqueue" "$own/net"
for node in null zero full random urandom tty kmsg fuse net/tun loop-control; do
  [ ! -c "/dev/$node" ] || cp -a "/dev/$node" "$own/$node"
done
for device in /dev/loop[0-9]*; do
  [ ! -b "$device" ] || cp -a "$device" "$own/"
done
# Not the host's console: what is written there is lost.
mknod -m 600 "$own/console" c 1 3
for directory in pts shm mqueue; do mount --bind "/dev/$directory" "$own/$directory" 2>/dev/null || :; done
ln -s pts/ptmx "$own/ptmx"
ln -s /proc/self/fd "$own/fd"
mount --move "$own" /dev
rmdir "$own"
mount --make-rshared /

# Once: from the second boot on, what is enabled is the machine's own.
if [ ! -e /etc/systemd/machine-is-ready ]; then
  rm -rf /etc/systemd/system/*.wants /etc/systemd/system/*.requires
  mkdir -p /etc/systemd/system /etc/systemd/journald.conf.d
  for unit in systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    proc-sys-fs-binfmt_misc.mount systemd-modules-load.service kmod-static-nodes.service modprobe@.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    systemd-tmpfiles-setup-dev.service systemd-remount-fs.service systemd-random-seed.service \
    systemd-machine-id-commit.service systemd-logind.service dbus.service dbus.socket systemd-timesyncd.service \
    getty.target getty@.service serial-getty@.service console-getty.service dev-hugepages.mount dev-mqueue.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
  done
  printf '[Journal]\nReadKMsg=no\nStorage=persistent\nSystemMaxUse=32M\n' > /etc/systemd/journald.conf.d/machine.conf
  : > /etc/systemd/machine-is-ready
fi
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=0
