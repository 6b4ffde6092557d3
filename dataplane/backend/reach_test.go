package backend

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// blackHole is an address where nobody answers a connect: a listener whose queue is full.
func blackHole(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	err = errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0))
	if err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*syscall.SockaddrInet4).Port))
	for {
		c, err := net.DialTimeout("tcp", at.String(), 300*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
}

// opener is an owner that tells of the outcome.
type opener chan error

func (o opener) Opened(*Conn)              {}
func (o opener) Failed(_ *Conn, err error) { o <- err }
func (o opener) Lost(*Conn)                {}
func (o opener) Closed(*Conn)              {}
func (o opener) Changed(*Conn)             {}

// TestTurns: a host that does not answer leaves time to the next, and the next time the one that has answered is the first.
func TestTurns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	came := make(chan struct{}, 9)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- struct{}{}
			c.Close() // whoever came far enough is told by that
		}
	}()
	hole, here := blackHole(t), netip.MustParseAddrPort(l.Addr().String())
	var list []resource.Host
	for _, a := range []netip.AddrPort{hole, here} {
		list = append(list, resource.Host{Name: a.Addr().String(), Port: int(a.Port())})
	}
	g, err := reactor.NewGroup(1, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	defer g.Stop()
	to := &Target{Node: "n1", Host: "two", Server: hosts.Fixed(list, false), Database: "d", User: "u", Secret: NewSecret("u", ""), Timeout: 4 * time.Second}
	open := func(to *Target) (took time.Duration, err error) {
		o, began := make(opener, 1), time.Now()
		loop := g.Loops()[0]
		loop.Post(func() { Open(loop, to, o) })
		err = <-o
		return time.Since(began), err
	}
	if took, err := open(to); len(came) != 1 || took < time.Second {
		t.Fatalf("%d came within %s: %v", len(came), took, err)
	}
	if took, err := open(to); len(came) != 2 || took > 1900*time.Millisecond {
		t.Errorf("the next time: %d came, within %s: %v", len(came)-1, took, err)
	}
	// Where connections are spread it is avoided by all that follow at once.
	spread := *to
	spread.Server = hosts.Fixed(list, true)
	for i := range 4 {
		if took, err := open(&spread); len(came) != 3+i || (i == 0) != (took > 1900*time.Millisecond) {
			t.Errorf("where they are spread, connection %d: %d came, within %s: %v", i+1, len(came)-2, took, err)
		}
	}
	alone := &Target{Node: "n1", Server: hosts.Fixed(list[:1], false), Database: "d", User: "u", Secret: NewSecret("u", ""), Timeout: 200 * time.Millisecond}
	if _, err := open(alone); state(err) != "08001" || !errors.Is(err, reactor.ErrDeadline) {
		t.Errorf("the hole alone: %v", err)
	}
}
