#!/bin/sh
# Puts OpenRC into a node and becomes its init (create-openrc-machine.ts starts it as the node's PID 1). The machine's
# runlevels are empty: what runs in them is what a test adds.
set -eu

if [ ! -e /sbin/openrc-init ]; then
  cd /opt/openrc
  for directory in sbin bin lib etc; do
    [ ! -d "$directory" ] || cp -a "$directory/." "/$directory/"
  done
  ldconfig
  # It would read how the scripts of another init depend on each other.
  [ -e /etc/insserv.conf ] || : > /etc/insserv.conf
  rm -rf /etc/runlevels
  for level in sysinit boot default nonetwork shutdown; do mkdir -p "/etc/runlevels/$level"; done
fi
# The host's console is not this machine's.
mount --make-rprivate /
mknod -m 600 /run/console c 1 3
mount --bind /run/console /dev/console
mount --make-rshared /
exec /sbin/openrc-init
