package peers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// other is another proxy, as far as it is asked: it answers with a byte each, or with nothing for as long as the test runs.
type other struct {
	addr  string
	asked atomic.Int32
	said  chan []byte // the packets that came
}

func newOther(t *testing.T, answer string) *other {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &other{addr: l.Addr().String(), said: make(chan []byte, 1000)}
	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.asked.Add(1)
			all.Go(func() {
				defer c.Close()
				packet := make([]byte, 16)
				if _, err := io.ReadFull(c, packet); err == nil {
					o.said <- packet
				}
				if answer == "" {
					<-over
				}
				io.WriteString(c, answer)
			})
		}
	})
	t.Cleanup(func() { close(over); l.Close(); all.Wait() })
	return o
}

// said is what a control plane says: the others have the numbers 2, 3 and so on.
func said(all ...*other) *heliosv1.Peers {
	p := &heliosv1.Peers{YourNumber: 1}
	for i, o := range all {
		p.Peers = append(p.Peers, &heliosv1.Peer{Number: uint32(i + 2), NodeId: fmt.Sprint("px", i+2), Address: o.addr})
	}
	return p
}

// run calls f as a task of a loop does, and returns when it has.
type run struct {
	reactor.Task
	f    func(*reactor.Task)
	done chan struct{}
}

func (r *run) Serve(t *reactor.Task)                     { r.f(t); r.End(); close(r.done) }
func (r *run) Panicked(_ *reactor.Task, v any, _ []byte) { panic(v) }

// start makes Peers that know what the control plane says, and a function that passes a key on.
func start(t *testing.T, said *heliosv1.Peers) (*Peers, func(pid uint32, n int) <-chan meter.Cancel) {
	t.Helper()
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Stop)
	p := New(Options{Log: zap.NewNop(), Number: func(uint16) {}})
	p.Set(said)
	l := g.Loops()[0]
	return p, func(pid uint32, n int) <-chan meter.Cancel {
		how := make(chan meter.Cancel, 1)
		l.Post(func() {
			r := &run{done: make(chan struct{}), f: func(t *reactor.Task) {
				how <- p.Forward(t, netip.MustParseAddr("192.0.2.1"), pid, make([]byte, n))
			}}
			r.Init(l, r)
			r.Wake()
		})
		return how
	}
}

// of is a process ID that the proxy with a number has chosen.
func of(number uint32) uint32 { return 1<<30 | number<<16 | 5 }

// TestForward asks the proxy that the key names, or all where it names none, and nobody where nobody has given it out.
func TestForward(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	dead := &other{addr: gone.Addr().String()}
	for name, tt := range map[string]struct {
		answers string // of the peers: S, U, E; x is not there
		pid     uint32
		n       int
		want    meter.Cancel
		asked   string // which of them were
	}{
		"the owner serves it":           {"US", of(3), 4, meter.CancelForwarded, "01"},
		"the owner does not know it":    {"US", of(2), 4, meter.CancelUnknown, "10"},
		"all are asked":                 {"US", 4711, 4, meter.CancelForwarded, "11"},
		"all are asked in vain":         {"UU", 4711, 4, meter.CancelUnknown, "11"},
		"of a number nobody has":        {"SS", of(4), 4, meter.CancelUnknown, "00"},
		"of our own number":             {"SS", of(1), 4, meter.CancelUnknown, "00"},
		"a long one that names none":    {"US", 4711, 32, meter.CancelForwarded, "11"},
		"of a length that nobody gives": {"SS", 4711, 16, meter.CancelUnknown, "00"},
		"the owner is not there":        {"xS", of(2), 4, meter.CancelPeerFailed, "00"},
		"one of all is not there":       {"xS", 4711, 4, meter.CancelForwarded, "01"},
		"nobody serves, one is away":    {"xU", 4711, 4, meter.CancelPeerFailed, "01"},
		"somebody else listens there":   {"ES", of(2), 4, meter.CancelPeerFailed, "10"},
		"no peers":                      {"", 4711, 4, meter.CancelUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*other
			for _, a := range tt.answers {
				if a == 'x' {
					all = append(all, dead)
					continue
				}
				all = append(all, newOther(t, string(a)))
			}
			p, forward := start(t, said(all...))
			if got := <-forward(tt.pid, tt.n); got != tt.want {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
			asked := ""
			for i, o := range all {
				if tt.asked[i] == '1' { // one that has served it may have been faster
					if packet := <-o.said; pgwire.StartupCode(packet) != pgwire.ForwardCode {
						t.Errorf("peer %d was sent %x, which it passes on", i, packet)
					}
				}
				asked += fmt.Sprint(o.asked.Load())
			}
			if asked != tt.asked {
				t.Errorf("the peers were asked %s times, want %s", asked, tt.asked)
			}
			_ = p
		})
	}
}

// TestSilent: one that does not answer holds up nobody whom another one has served, and is asked no more once so many wait for it; others are.
func TestSilent(t *testing.T) {
	silent, serves := newOther(t, ""), newOther(t, "S")
	p, forward := start(t, said(silent, serves))
	if got := <-forward(4711, 4); got != meter.CancelForwarded {
		t.Errorf("asked of all: %v", got)
	}
	for range MaxFlyingTo - 1 {
		forward(of(2), 4)
	}
	for silent.asked.Load() < MaxFlyingTo {
		<-silent.said
	}
	if got := <-forward(of(2), 4); got != meter.CancelLimited {
		t.Errorf("one too many: %v", got)
	}
	if got := <-forward(of(3), 4); got != meter.CancelForwarded {
		t.Errorf("to another one: %v", got)
	}
	if all := p.All(); len(all) != 2 || all[0].Flying != MaxFlyingTo || all[1].Flying != 0 {
		t.Errorf("people are shown %v", all)
	}
}

// TestLimits: an address that has guessed for long is not looked at; long keys, other addresses and what peers pass on are.
func TestLimits(t *testing.T) {
	unknown := newOther(t, "U")
	p, forward := start(t, said(unknown))
	guesser, client, peer := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("127.0.0.1")
	short, long := make([]byte, cancelkeys.Short), make([]byte, cancelkeys.Long)
	const now = 1e9
	asked := func(pid uint32, n int) (in int) {
		for range n {
			if <-forward(pid, 4) == meter.CancelUnknown {
				in++
			}
		}
		return in
	}
	if n := asked(4711, 600); n < 300 || n > 450 { // five more a second are let through
		t.Errorf("all were asked %d times for one address", n)
	}
	for range 10_000 {
		p.Wrong(now, guesser, false)
		p.Wrong(now, peer, true)
	}
	for name, tt := range map[string]struct {
		from      netip.Addr
		secret    []byte
		forwarded bool
		want      bool
	}{
		"who guesses": {guesser, short, false, true}, "who guesses and claims to be a proxy": {guesser, short, true, true},
		"with a long key": {guesser, long, false, false}, "another client": {client, short, false, false},
		"a peer": {peer, short, true, false},
	} {
		if got := p.Barred(now, tt.from, tt.secret, tt.forwarded); got != tt.want {
			t.Errorf("%s is barred: %v", name, got)
		}
	}
	p.Wrong(now, peer, false)
	if p.Barred(now, peer, short, false) {
		t.Error("a client at the address of a peer pays for what the peer has passed on")
	}
}

// TestAskedInAll: all peers are not asked more often in vain because those who ask are many.
func TestAskedInAll(t *testing.T) {
	p := New(Options{Log: zap.NewNop(), Number: func(uint16) {}})
	in := 0
	for i := range 2000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if p.mayAsk(0, from) {
			p.askedInVain(0, from)
			in++
		}
	}
	if in != askPatienceInAll().Max {
		t.Errorf("asked %d times in one moment", in)
	}
}

// TestRestore has what was said after a restart, and nothing of what is damaged or of another group.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	open := func() *lkg.Dir {
		d, err := lkg.Open(dir, lkg.Options{Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	number := uint16(0)
	restart := func(group string) (*Peers, *lkg.Dir) {
		d := open()
		number = 0
		p := New(Options{Log: zap.NewNop(), Number: func(n uint16) { number = n }})
		p.Restore(d, group)
		return p, d
	}
	p, d := restart("g")
	if p.Number() != 0 || len(p.All()) != 0 {
		t.Fatal("somebody is known at first")
	}
	want := &heliosv1.Peers{YourNumber: 7, Peers: []*heliosv1.Peer{
		{Number: 9, NodeId: "b", Address: "unix:/run/b"},
		{Number: 8, NodeId: "a", Address: "10.0.0.8:6432"},
		{Number: 7, NodeId: "we", Address: "10.0.0.7:6432"},
		{Number: 10, NodeId: "a name", Address: "px10:6432"},
		{Number: 20000, NodeId: "too high", Address: "10.0.0.9:6432"},
	}}
	p.Set(want)
	d.Close()
	p, d = restart("g")
	if all := p.All(); number != 7 || p.Number() != 7 || len(all) != 2 || all[0] != (Info{8, "a", "10.0.0.8:6432", 0}) || all[1] != (Info{9, "b", "unix:/run/b", 0}) {
		t.Errorf("number %d, peers %v", number, all)
	}
	d.Close()
	if p, d = restart("other"); p.Number() != 0 {
		t.Error("a number of another group is used")
	}
	d.Close()
	d = open()
	b, err := d.Kept(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decode("g", b); err != nil || !proto.Equal(got, want) {
		t.Errorf("kept is %v, %v", got, err)
	}
	for i := range b {
		for _, bad := range [][]byte{b[:i], append(append([]byte(nil), b[:i]...), append([]byte{b[i] ^ 4}, b[i+1:]...)...)} {
			if _, err := decode("g", bad); err == nil {
				t.Fatalf("a file that is damaged at byte %d is read", i)
			}
		}
	}
	if at, err := os.Stat(filepath.Join(dir, file)); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", at, err)
	}
	d.Close()
}

// full is a disk that takes nothing.
type full struct{}

func (full) Keep(string, []byte) error   { return errors.New("full") }
func (full) Kept(string) ([]byte, error) { return nil, fs.ErrNotExist }

// TestNotKept tells a proxy who the others are though that cannot be kept.
func TestNotKept(t *testing.T) {
	p := New(Options{Log: zap.NewNop(), Number: func(uint16) {}})
	p.Restore(full{}, "g")
	p.Set(&heliosv1.Peers{YourNumber: 7})
	if p.Number() != 7 {
		t.Error("the number is lost")
	}
}
