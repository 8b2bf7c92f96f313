#!/bin/sh
# Turns a fresh set of namespaces into a node and becomes its PID 1 (create-node.ts starts it with unshare).
#
#   /           overlay: the host's / below, the node's disk above: the node sees the host's programs, changes nothing
#   /var/lib …  the node's disk (ext4 on a loop device): containerd's overlayfs cannot sit on an overlay
#   /run        tmpfs          /proc, /sys, /dev/pts, /dev/shm   of the node's own namespaces
#
# In the environment:
#   STAGE      an empty directory of the host, only a place to mount on
#   DISK       the node's block device
#   FILES      directory with etc/ (copied over /etc) and proc/, sys/ (bound over the files of the same path)
#   CGROUPS    lines: "1 <directory below /sys/fs/cgroup> <controllers>" or "2 <directory or .>"
#   LINKS      lines: "<directory> <link>": other names of v1 hierarchies
#   SUBMOUNTS  lines: mounts of the host below / that hold parts of its system (/usr, /home)
#   BINDS      lines: "<ro|rw> <target> <source>"
#   HOSTNAME, INIT (one line of sh)
# Says "booted" on descriptor 3.
set -eu

mount -t tmpfs -o mode=700 tmpfs "$STAGE"
cd "$STAGE"
mkdir disk root own
cp -R "$FILES/." own
mount -o noatime "$DISK" disk
mkdir -p disk/root disk/work disk/var-lib disk/var-log disk/var-tmp disk/opt disk/tmp
chmod 1777 disk/tmp disk/var-tmp
mount -t overlay -o "lowerdir=/,upperdir=disk/root,workdir=disk/work" overlay root

bind_over() { # $1 source, $2 target below root
  if [ -d "$1" ]; then mkdir -p "root$2"; else mkdir -p "root${2%/*}"; [ -e "root$2" ] || : > "root$2"; fi
  mount --bind "$1" "root$2"
}

# The data disk first: cAdvisor takes a device's first mount for the place where its size is asked.
for directory in lib log tmp; do bind_over "disk/var-$directory" "/var/$directory"; done
bind_over disk/opt /opt
bind_over disk/tmp /tmp
printf '%s\n' "$SUBMOUNTS" | while read -r target; do
  [ -z "$target" ] || { bind_over "$target" "$target"; mount -o remount,bind,ro "root$target"; }
done

mkdir -p root/proc root/sys root/dev root/run
mount -t proc -o nosuid,nodev,noexec proc root/proc
mount -t sysfs -o nosuid,nodev,noexec sysfs root/sys
mount --bind /dev root/dev
mount -t devpts -o mode=620,ptmxmode=666,gid=5 devpts root/dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs root/dev/shm
[ ! -d root/dev/mqueue ] || mount -t mqueue mqueue root/dev/mqueue
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs root/run
[ ! -d root/sys/fs/bpf ] || mount -t bpf bpf root/sys/fs/bpf 2>/dev/null || :

# In the new cgroup namespace a fresh mount shows the node's group as the root.
case "$CGROUPS" in
  "2 .") ;;
  *) mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs root/sys/fs/cgroup ;;
esac
printf '%s\n' "$CGROUPS" | while read -r version directory controllers; do
  mkdir -p "root/sys/fs/cgroup/$directory"
  case "$version" in
    1) case "$controllers" in name=*) controllers="none,$controllers" ;; esac
       mount -t cgroup -o "$controllers" cgroup "root/sys/fs/cgroup/$directory" ;;
    2) mount -t cgroup2 cgroup2 "root/sys/fs/cgroup/$directory" ;;
  esac
done
printf '%s\n' "$LINKS" | while read -r directory link; do
  [ -z "$link" ] || ln -s "$directory" "root/sys/fs/cgroup/$link"
done

# What a component would set for the whole machine, it sets in a copy that only this node sees.
for setting in fs/file-max fs/nr_open fs/aio-max-nr fs/inotify/max_user_instances fs/inotify/max_user_watches \
  fs/inotify/max_queued_events fs/may_detach_mounts kernel/core_pattern kernel/keys/root_maxbytes \
  kernel/keys/root_maxkeys kernel/panic kernel/panic_on_oops kernel/pid_max kernel/softlockup_panic kernel/sysrq \
  kernel/threads-max vm/max_map_count vm/overcommit_memory vm/panic_on_oom vm/swappiness; do
  [ -f "/proc/sys/$setting" ] || continue
  mkdir -p "own/proc/sys/${setting%/*}"
  cat "/proc/sys/$setting" > "own/proc/sys/$setting"
done
(cd own && find proc sys -type f) | while read -r file; do
  [ ! -e "root/$file" ] || mount --bind "own/$file" "root/$file"
done

for file in own/etc/*; do
  target="root/etc/${file##*/}"
  # A machine id is made once and stays with the disk.
  [ "${file##*/}" != machine-id ] || [ ! -s "disk/root/etc/machine-id" ] || continue
  rm -f "$target"
  cp "$file" "$target"
done
printf '%s\n' "$BINDS" | while read -r mode target source; do
  [ -z "$mode" ] || {
    bind_over "$source" "$target"
    [ "$mode" = rw ] || mount -o remount,bind,ro "root$target"
  }
done
printf '%s\n' "$HOSTNAME" > /proc/sys/kernel/hostname

# Leaving the old root also unmounts the disk's first mount: hidden mounts confuse kubelet.
mkdir root/run/old-root
cd root
pivot_root . run/old-root
cd /
umount -l /run/old-root
rmdir /run/old-root
# Kubernetes' volumes and CSI need shared propagation, as systemd sets it on a real machine.
mount --make-rshared /

echo booted >&3
exec 3>&- </dev/null >/dev/null 2>&1
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root container=mini-k8s \
  /bin/sh -c "$INIT"
