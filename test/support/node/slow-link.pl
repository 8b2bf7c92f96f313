# Holds the packets of a netfilter queue back for a while, drops some of them, and ends with its standard input.
# Arguments: queue, milliseconds, part that is dropped. Kernels often lack netem; the queue is nearly always there.
# https://docs.kernel.org/userspace-api/netlink/intro.html, linux/netfilter/nfnetlink_queue.h
use strict;
use warnings;
use Socket;
use Time::HiRes 'clock_gettime', 'CLOCK_MONOTONIC';

my ($queue, $delay_ms, $loss) = @ARGV;
my ($AF_NETLINK, $NETLINK_NETFILTER, $SO_RCVBUFFORCE) = (16, 12, 33);
my ($PACKET, $VERDICT, $CONFIG) = (0x300, 0x301, 0x302);
my ($DROP, $ACCEPT) = (0, 1);

socket(my $netlink, $AF_NETLINK, SOCK_RAW, $NETLINK_NETFILTER) or die "netlink: $!\n";
setsockopt($netlink, SOL_SOCKET, $SO_RCVBUFFORCE, 8 << 20) or die "receive buffer: $!\n";
bind($netlink, pack('S S L L', $AF_NETLINK, 0, 0, 0)) or die "bind: $!\n";
configure(1, pack('C C n', 1, 0, 0));    # bind to the queue
configure(2, pack('N C', 0, 1));         # nothing of a packet but its number
configure(3, pack('N', 65536));          # as many as may wait
$| = 1;
print "ready\n";

my @waiting;    # [when it may go on, number]
while (1) {
  my $now = clock_gettime(CLOCK_MONOTONIC);
  pass((shift @waiting)->[1], $ACCEPT) while @waiting && $waiting[0][0] <= $now;
  my $wait = @waiting ? $waiting[0][0] - $now : undef;
  my $ready = '';
  vec($ready, $_, 1) = 1 for 0, fileno $netlink;
  select($ready, undef, undef, $wait);
  exit 0 if vec($ready, 0, 1) && !sysread(STDIN, my $ignored, 4096);
  receive() if vec($ready, fileno $netlink, 1);
}

sub receive {
  # A full buffer has lost packets; that is what this is for.
  defined recv($netlink, my $messages, 65536, 0) or return;
  my $due = clock_gettime(CLOCK_MONOTONIC) + $delay_ms / 1000;
  while (length $messages >= 16) {
    my ($length, $type) = unpack 'L S', $messages;
    my $message = substr $messages, 0, ($length + 3) & ~3, '';
    next if $type != $PACKET;
    # The first attribute is the packet's header, its first field the number.
    my $number = unpack 'N', substr $message, 24, 4;
    if (rand() < $loss) { pass($number, $DROP) }
    else { push @waiting, [$due, $number] }
  }
}

sub pass {
  my ($number, $verdict) = @_;
  tell_kernel($VERDICT, 1, 2, pack('N N', $verdict, $number));
}

sub configure {
  my ($attribute, $value) = @_;
  tell_kernel($CONFIG, 5, $attribute, $value);    # request, with an answer
  defined recv($netlink, my $answer, 4096, 0) or die "no answer: $!\n";
  my $error = unpack 'l', substr $answer, 16, 4;
  return if $error == 0;
  $! = -$error;
  die "queue $queue: $!\n";
}

sub tell_kernel {
  my ($type, $flags, $attribute, $value) = @_;
  my $attributes = pack('S S', 4 + length $value, $attribute) . $value;
  $attributes .= "\0" while length($attributes) % 4;
  my $body = pack('C C n', AF_UNSPEC, 0, $queue) . $attributes;
  send($netlink, pack('L S S L L', 16 + length $body, $type, $flags, 0, 0) . $body, 0) or die "send: $!\n";
}
