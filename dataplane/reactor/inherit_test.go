package reactor

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// handed is a descriptor of a listener as somebody else makes it: it waits, and children get it.
func handed(t *testing.T, network, address string) int {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if l, ok := ln.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestInherit: a listener of a descriptor takes clients in where that is bound, and leaves a socket's file alone.
func TestInherit(t *testing.T) { conform(t, testInherit) }

func testInherit(t *testing.T, o Options) {
	path := filepath.Join(t.TempDir(), "s")
	for _, at := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"}, {"unix", path}} {
		fd := handed(t, at.network, at.address)
		ls, err := Inherit(fd, false)
		if err != nil {
			t.Fatal(err)
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: children inherit it", at.address)
		}
		l := still(t, o)
		came := 0
		if err := ls.Accept(l, func(e *Endpoint, _ Address) { came++; e.Close() }, func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		if _, _, errno := sys.Accept(fd); errno != unix.EAGAIN {
			t.Errorf("%s: accept does not return at once: %v", at.address, errno)
		}
		c, err := net.Dial(at.network, strings.TrimPrefix(ls.Address().String(), "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		until(t, l, "the client has come to "+at.address, func() bool { return came == 1 })
		c.Close()
		ls.Close()
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file: %v", err)
	}
}

// TestSucceed: who is heir to the file of a socket removes it, but not before the one who has it is gone.
func TestSucceed(t *testing.T) {
	for _, tt := range []struct{ heir, succeeds, abandons, left bool }{
		{false, true, false, true},
		{true, false, false, true},
		{true, true, false, false},
		{true, true, true, true},
	} {
		path := filepath.Join(t.TempDir(), "s")
		ls, err := Inherit(handed(t, "unix", path), tt.heir)
		if err != nil {
			t.Fatal(err)
		}
		if tt.succeeds {
			ls.Succeed()
		}
		if ls.Owns() != tt.heir {
			t.Errorf("%+v: owns it: %t", tt, ls.Owns())
		}
		if tt.abandons {
			ls.Abandon()
		}
		ls.Close()
		if _, err := os.Stat(path); (err == nil) != tt.left {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestInheritRefuses: what is no listener is refused and closed.
func TestInheritRefuses(t *testing.T) {
	file, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	open, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	datagrams, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	for fd, want := range map[int]string{file: "non-socket", open: "not a socket that listens", datagrams: "not a socket that listens", 1 << 20: "bad file"} {
		if _, err := Inherit(fd, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Errorf("%s: descriptor %d is still open", want, fd)
		}
	}
}

// TestServes: which listener is one for which address.
func TestServes(t *testing.T) {
	for _, tt := range []struct {
		bound, wanted string
		want          bool
	}{
		{"127.0.0.1:0", "127.0.0.1", true},
		{"127.0.0.1:0", "::ffff:127.0.0.1", true},
		{"127.0.0.1:0", "127.0.0.2", false},
		{"0.0.0.0:0", "0.0.0.0", true},
		{"0.0.0.0:0", "127.0.0.1", false}, // it is open to more than was asked for
		{"0.0.0.0:0", "::", false},
		{"[::]:0", "0.0.0.0", true},
		{"[::]:0", "::1", false},
		{"[::1]:0", "::1", true},
	} {
		network := "tcp"
		if strings.HasPrefix(tt.bound, "0.") {
			network = "tcp4" // Go takes 0.0.0.0 for all of both families
		}
		ls, err := Inherit(handed(t, network, tt.bound), false)
		if err != nil {
			t.Fatal(err)
		}
		port := ls.Address().IP.Port()
		if got := ls.Serves(Address{IP: netip.AddrPortFrom(netip.MustParseAddr(tt.wanted), port)}); got != tt.want {
			t.Errorf("%s for %s: %v", ls.Address(), tt.wanted, got)
		}
		if ls.Serves(Address{IP: netip.AddrPortFrom(netip.MustParseAddr(tt.wanted), port+1)}) || ls.Serves(Address{Path: "/s"}) {
			t.Errorf("%s serves another port or a path", ls.Address())
		}
		ls.Close()
	}
}

// TestListenShared: who shares a port shares it with those who do, and a unix socket is not shared.
func TestListenShared(t *testing.T) {
	a, _ := ParseAddress("127.0.0.1:0")
	first, err := Listen(a, Share{Port: true})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := Listen(first.Address(), Share{Port: true})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if _, err := Listen(first.Address(), Share{}); err == nil {
		t.Error("who does not share gets the port")
	}
	if _, err := Listen(Address{Path: filepath.Join(t.TempDir(), "s")}, Share{Port: true}); err == nil || !strings.Contains(err.Error(), "so_reuseport") {
		t.Errorf("a unix socket: %v", err)
	}
}
