# A process that does nothing but exist, under the name and arguments it is given (/proc/<pid>/cmdline), as containerd,
# containerd-shim-runc-v2 and a container's `pause` do. Two words come first:
#   child | daemon   daemon: leaves its parent's session and is adopted by pid 1, as a shim is
#   <container>      command line of one child that it starts, or `-` for none
use strict;
use POSIX ();
my ($life, $container, @arguments) = @ARGV;
if ($life eq 'daemon') {
  exit 0 if fork;
  POSIX::setsid();
  exit 0 if fork;
}
open STDIN, '<', '/dev/null'; open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null';
# Perl pads a name shorter than its argument area with spaces, which would be read as one long argument.
sub call_me { $0 = join("\0", @_, '') . "\0" x 65536 }
if ($container ne '-' && !fork) { call_me($container); $SIG{TERM} = 'IGNORE' if $container =~ /stubborn/; sleep 3600 while 1 }
call_me(@arguments);
$SIG{CHLD} = sub { 1 while waitpid(-1, POSIX::WNOHANG()) > 0 };
sleep 3600 while 1;
