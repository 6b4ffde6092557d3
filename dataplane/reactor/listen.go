package reactor

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// Listener is a socket that clients connect to. One loop watches it; who comes goes to the loop with
// the least load.
type Listener struct {
	fd      int
	spare   int // a descriptor held back, to turn somebody away with when there is no other
	loop    *Loop
	watch   *watched // nil but with the engine Goroutines
	addr    Address
	owns    bool // the file of the socket is removed at the end
	heir    bool // it will be, once no other process has the socket
	accepts func(*Endpoint, Address)
	refused func(error)
}

const backlog = 4096

// unsent is how many bytes for a client the kernel takes that it cannot send yet. Left alone it takes megabytes: a client that does not
// read costs that memory, and is not seen to be slow.
const unsent = 128 << 10

// A Share is who else may use the address of a listener.
type Share struct {
	// Port lets other processes listen at the same TCP address that say so too (SO_REUSEPORT): each is given some of the clients.
	Port bool
	// Mode is that of a unix socket's file: who may connect. 0 is 0777, as PostgreSQL's: who may log in is asked at the door.
	Mode os.FileMode
	// Group is the number of the group that the file has; 0 leaves it the process's.
	Group int
}

// Listen binds a. The socket takes connections from Accept on. A socket file that nobody listens at any more is replaced.
func Listen(a Address, s Share) (*Listener, error) {
	if a.IsUnix() && s.Port {
		return nil, fmt.Errorf("listen at %s: a unix socket is one process's, and so_reuseport is set", a)
	}
	family, sa := a.sockaddr()
	fd, err := sys.Socket(family)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: socket: %w", a, err)
	}
	if a.IsUnix() {
		if err := clearSocketFile(a); err != nil {
			sys.Close(fd)
			return nil, err
		}
	} else {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		inheritable(fd)
	}
	if s.Port {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			sys.Close(fd)
			return nil, fmt.Errorf("listen at %s: SO_REUSEPORT: %w", a, err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", a, err)
	}
	if a.IsUnix() { // before anybody can connect
		if err := s.own(a); err != nil {
			sys.Close(fd)
			_ = os.Remove(a.Path)
			return nil, fmt.Errorf("listen at %s: %w", a, err)
		}
	}
	if err := unix.Listen(fd, backlog); err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", a, err)
	}
	if !a.IsUnix() {
		if got, err := unix.Getsockname(fd); err == nil {
			a = addressOf(got)
		}
	}
	spare, _ := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return &Listener{fd: fd, spare: spare, addr: a, owns: a.IsUnix()}, nil
}

// Share says who may use the listener from now on, as far as it is a file's. One that was inherited keeps what s does not say.
func (ls *Listener) Share(s Share) error {
	if !ls.addr.IsUnix() || !ls.owns && s.Mode == 0 && s.Group == 0 {
		return nil
	}
	return s.own(ls.addr)
}

// own gives a socket's file its group and mode.
func (s Share) own(a Address) error {
	if s.Group != 0 {
		if err := os.Chown(a.Path, -1, s.Group); err != nil {
			return err
		}
	}
	return os.Chmod(a.Path, cmp.Or(s.Mode, 0o777))
}

// inheritable sets the options of a TCP socket that those inherit which it accepts.
func inheritable(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	sys.KeepAlive(fd)
}

// clearSocketFile removes a socket file that no process listens at.
func clearSocketFile(a Address) error {
	st, err := os.Lstat(a.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen at %s: %w", a, err)
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("listen at %s: there is a file which is not a socket", a)
	}
	family, sa := a.sockaddr()
	fd, err := sys.Socket(family)
	if err != nil {
		return fmt.Errorf("listen at %s: socket: %w", a, err)
	}
	defer sys.Close(fd)
	_ = unix.SetNonblock(fd, false)
	if unix.Connect(fd, sa) == nil {
		return fmt.Errorf("listen at %s: %w", a, unix.EADDRINUSE)
	}
	if err := os.Remove(a.Path); err != nil {
		return fmt.Errorf("listen at %s: %w", a, err)
	}
	return nil
}

// Address returns where the listener is bound, with the port that the kernel chose where none was named.
func (ls *Listener) Address() Address { return ls.addr }

// Accept makes l watch the listener: accepts is called on the loop that got the new endpoint, refused on l
// where somebody could not be taken in.
func (ls *Listener) Accept(l *Loop, accepts func(*Endpoint, Address), refused func(error)) error {
	ls.loop, ls.accepts, ls.refused = l, accepts, refused
	for ls.fd >= len(l.accepting) {
		l.accepting = append(l.accepting, nil)
	}
	l.accepting[ls.fd] = ls
	if err := l.engine.listen(ls); err != nil {
		return fmt.Errorf("listen at %s: %w", ls.addr, err)
	}
	return nil
}

// Close stops listening. On the loop's thread once it accepts.
func (ls *Listener) Close() {
	if ls.fd < 0 {
		return
	}
	if ls.loop != nil {
		ls.loop.accepting[ls.fd] = nil
	}
	ls.watch.stop()
	sys.Close(ls.fd)
	if ls.spare >= 0 {
		sys.Close(ls.spare)
	}
	if ls.owns {
		_ = os.Remove(ls.addr.Path)
	}
	ls.fd = -1
}

// accept takes in one client. It says whether there may be another one.
func (ls *Listener) accept() bool {
	fd, from, errno := sys.Accept(ls.fd)
	switch errno {
	case 0:
	case unix.EMFILE, unix.ENFILE:
		if !ls.turnAway() {
			return false
		}
		ls.refused(fmt.Errorf("accept at %s: %w", ls.addr, errno))
		return true
	case unix.EINTR, unix.ECONNABORTED:
		return true
	case unix.EAGAIN:
		return false
	default:
		ls.refused(fmt.Errorf("accept at %s: %w", ls.addr, errno))
		return true
	}
	e, peer := &Endpoint{fd: int32(fd)}, Address{IP: from}
	to := ls.loop.group.LeastLoaded()
	if to == ls.loop {
		ls.take(to, e, peer)
		return true
	}
	to.Post(func() { ls.take(to, e, peer) })
	return true
}

func (ls *Listener) take(l *Loop, e *Endpoint, peer Address) {
	e.loop = l
	if err := l.register(e); err != nil {
		sys.Close(int(e.fd))
		ls.refused(err)
		return
	}
	ls.accepts(e, peer)
}

// turnAway closes the connection that waits longest when there is no descriptor left for it: it would
// be reported for ever, and its client would wait for ever. It is false where nobody waits, of which accept knows nothing then.
func (ls *Listener) turnAway() bool {
	if ls.spare < 0 {
		return true
	}
	sys.Close(ls.spare)
	fd, _, errno := sys.Accept(ls.fd)
	if errno == 0 {
		sys.Close(fd)
	}
	ls.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return errno != unix.EAGAIN
}
