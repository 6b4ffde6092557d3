package watch

// end is what the kernel is asked for to hear of a peer's end while bytes of it are there: it says POLLHUP without that.
const end = 0
