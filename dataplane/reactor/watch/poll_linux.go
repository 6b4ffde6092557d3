package watch

import "golang.org/x/sys/unix"

// end is what the kernel is asked for to hear of a peer's end while bytes of it are there.
const end = unix.POLLRDHUP
