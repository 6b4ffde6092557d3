package hosts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

var (
	errNone   = errors.New("no such host")
	errBroken = errors.New("nobody answers")
)

// oracle answers for all names.
type oracle struct {
	mu      sync.Mutex
	addrs   []netip.Addr
	ttl     time.Duration
	err     error
	asked   int
	takes   time.Duration
	changes int
	search  string // of a domain, which stands behind all names
	serials map[string]uint32
	zones   int    // questions for zones
	slow    string // a zone of which a question takes longer than anybody waits
}

func (o *oracle) set(ttl time.Duration, err error, addrs ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addrs, o.ttl, o.err = nil, ttl, err
	for _, a := range addrs {
		o.addrs = append(o.addrs, netip.MustParseAddr(a))
	}
}

func (o *oracle) lookup(_ context.Context, name string) (Found, error) {
	o.mu.Lock()
	o.asked++
	takes := o.takes
	o.mu.Unlock()
	pass(takes)
	o.mu.Lock()
	defer o.mu.Unlock()
	return Found{o.addrs, o.ttl, name + o.search}, o.err
}

// serial fails for zones that have none.
func (o *oracle) serial(ctx context.Context, zone string) (uint32, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.zones++
	if zone == o.slow {
		o.mu.Unlock()
		<-ctx.Done()
		o.mu.Lock()
		return 0, ctx.Err()
	}
	if n, ok := o.serials[zone]; ok {
		return n, nil
	}
	return 0, errBroken
}

func (o *oracle) count() (asked, changes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked, o.changes
}

// in runs a test in a bubble, with a book whose answers an oracle gives.
func in(t *testing.T, test func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs)) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.InfoLevel)
		o := &oracle{}
		b := New(Options{
			Log: zap.New(core), Lookup: o.lookup, Serial: o.serial, None: func(err error) bool { return errors.Is(err, errNone) },
			Changed: func() {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.changes++
			},
		})
		b.Use(Policy{MaxTTL: 15 * time.Second, NoneTTL: 15 * time.Second})
		test(t, o, b, logged)
		b.Close()
	})
}

// pass lets time pass, in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func servers(texts ...string) (all []resource.Host) {
	for _, text := range texts {
		hs, err := resource.Hosts(text, 5432)
		if err != nil {
			panic(err)
		}
		all = append(all, hs...)
	}
	return all
}

// ways are the addresses of a server's routes, or why there are none.
func ways(s *Server) string {
	routes, known, err := s.Routes()
	if !known {
		return "unknown"
	}
	if err != nil && len(routes) == 0 {
		return err.Error()
	}
	var all []string
	for _, r := range routes {
		if r.IP.IsValid() {
			all = append(all, r.IP.String())
		} else {
			all = append(all, r.Text())
		}
	}
	return strings.Join(all, " ")
}

func want(t *testing.T, s *Server, w string) {
	t.Helper()
	if got := ways(s); got != w {
		t.Errorf("got %s, want %s", got, w)
	}
}

// TestOneQuestion: whoever asks at once gets the answer to one question, and while it is good nobody asks.
func TestOneQuestion(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		o.set(time.Minute, nil, "10.0.0.1")
		o.takes = time.Second
		s := b.Server(servers("db"), false)
		if b.Server(servers("db:5432"), false) != s {
			t.Error("the same hosts are two servers")
		}
		want(t, s, "unknown")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { s.Ask(t.Context()) })
		}
		synctest.Wait()
		if n := b.Pending(); n != 1 {
			t.Errorf("%d names are being looked up", n)
		}
		all.Wait()
		for range 100 {
			want(t, s, "10.0.0.1:5432")
			s.Ask(t.Context())
		}
		if asked, _ := o.count(); asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		if k := b.Known(); len(k) != 1 || k[0].Name != "db" || k[0].TTL != 15*time.Second || k[0].Addresses[0] != "10.0.0.1" {
			t.Errorf("known: %+v", k)
		}
	})
}

// TestTime: an answer is good for as long as it says, at most as long as the policy has it, and then is asked for anew by itself.
func TestTime(t *testing.T) {
	for _, tt := range []struct {
		ttl, want time.Duration
	}{{5 * time.Second, 5 * time.Second}, {time.Hour, 15 * time.Second}, {0, time.Second}} {
		in(t, func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs) {
			o.set(tt.ttl, nil, "10.0.0.1", "10.0.0.2")
			s := b.Server(servers("db"), false)
			s.Ask(t.Context())
			routes, _, _ := s.Routes()
			o.set(tt.ttl, nil, "10.0.0.2", "10.0.0.3")
			pass(tt.want - time.Nanosecond)
			synctest.Wait()
			want(t, s, "10.0.0.1:5432 10.0.0.2:5432")
			pass(time.Nanosecond)
			synctest.Wait()
			want(t, s, "10.0.0.2:5432 10.0.0.3:5432")
			if !routes[0].Address.Gone() || routes[1].Address.Gone() {
				t.Error("what is gone is not 10.0.0.1 alone")
			}
			if again, _, _ := s.Routes(); again[0].Address != routes[1].Address {
				t.Error("an address that stays is another one")
			}
			if _, changes := o.count(); changes != 1 || logged.FilterMessage("a host has other addresses").Len() != 1 {
				t.Errorf("%d changes", changes)
			}
		})
	}
}

// TestFailure: while nobody answers the last answer counts, and it is asked again and again.
func TestFailure(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs) {
		o.set(0, errBroken)
		s := b.Server(servers("db"), false)
		s.Ask(t.Context())
		want(t, s, "nobody answers")
		pass(again + time.Second)
		o.set(5*time.Second, nil, "10.0.0.1")
		pass(again)
		synctest.Wait()
		want(t, s, "10.0.0.1:5432")
		o.set(0, errBroken)
		pass(time.Minute)
		synctest.Wait()
		want(t, s, "10.0.0.1:5432")
		if n := logged.FilterMessage("a host cannot be looked up: its last addresses are used on").Len(); n != 1 {
			t.Errorf("logged %d times", n)
		}
		o.set(time.Minute, nil, "10.0.0.2")
		pass(again)
		synctest.Wait()
		want(t, s, "10.0.0.2:5432")
	})
}

// TestNone: a host that is no more is not connected to, but nothing is closed until there is somewhere else to go.
func TestNone(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs) {
		o.set(time.Second, nil, "10.0.0.1")
		s := b.Server(servers("db"), false)
		s.Ask(t.Context())
		routes, _, _ := s.Routes()
		o.set(0, errNone)
		pass(time.Second)
		synctest.Wait()
		want(t, s, "no such host")
		asked, changes := o.count()
		pass(14 * time.Second)
		synctest.Wait()
		if n, _ := o.count(); n != asked || changes != 0 || routes[0].Address.Gone() {
			t.Errorf("asked %d times more, %d changes, gone %v", n-asked, changes, routes[0].Address.Gone())
		}
		if logged.FilterMessage("a host has no address any more: no connection to it is opened").Len() != 1 {
			t.Error("nothing is logged")
		}
		o.set(time.Minute, nil, "10.0.0.2")
		pass(time.Second)
		synctest.Wait()
		want(t, s, "10.0.0.2:5432")
		if _, changes := o.count(); changes != 1 || !routes[0].Address.Gone() {
			t.Errorf("%d changes, gone %v", changes, routes[0].Address.Gone())
		}
	})
}

// TestRenew: who was not let in anywhere asks at once, but not everybody of many.
func TestRenew(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		o.set(time.Minute, nil, "10.0.0.1")
		s := b.Server(servers("db"), false)
		s.Ask(t.Context())
		pass(time.Millisecond)
		began := time.Now()
		o.set(time.Minute, nil, "10.0.0.2")
		o.takes = time.Second
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { s.Renew(t.Context(), began) })
		}
		all.Wait()
		s.Renew(t.Context(), began)
		want(t, s, "10.0.0.2:5432")
		if asked, _ := o.count(); asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		if !s.Named() || Fixed(servers("10.0.0.1"), false).Named() {
			t.Error("Named")
		}
	})
}

// TestOrder: the way that has answered last is the first to be tried.
func TestOrder(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		o.set(5*time.Second, nil, "10.0.0.1", "10.0.0.2")
		s := b.Server(servers("/run/pg", "db:5433", "[::1]:5434"), false)
		s.Ask(t.Context())
		want(t, s, "/run/pg:5432 10.0.0.1:5433 10.0.0.2:5433 [::1]:5434")
		routes, _, _ := s.Routes()
		s.Answered(routes[2])
		want(t, s, "10.0.0.2:5433 [::1]:5434 /run/pg:5432 10.0.0.1:5433")
		o.set(5*time.Second, nil, "10.0.0.1")
		pass(5 * time.Second)
		synctest.Wait()
		want(t, s, "/run/pg:5432 10.0.0.1:5433 [::1]:5434")
		if s.String() != "/run/pg:5432,db:5433,[::1]:5434" {
			t.Error(s)
		}
		o.set(5*time.Second, errNone)
		pass(5 * time.Second)
		synctest.Wait()
		want(t, s, "/run/pg:5432 [::1]:5434")
	})
	if got := ways(Fixed(servers("db"), false)); !strings.Contains(got, "nobody to ask") {
		t.Errorf("a name without a book: %s", got)
	}
}

// TestWay finds the way again by which a connection leads that another process has opened.
func TestWay(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		o.set(time.Minute, nil, "10.0.0.1", "10.0.0.2")
		s := b.Server(servers("db.test:5432", "10.0.0.9:5433", "/run/pg"), false)
		for _, asked := range []bool{false, true} {
			for _, w := range []struct {
				host string
				port int
				ip   string
				has  bool
				gone bool // is noticed
			}{
				{"10.0.0.9", 5433, "10.0.0.9:5433", true, false},
				{"/run/pg", 5432, "", true, false},
				{"/run/pg", 5433, "", false, false},
				{"other.test", 5432, "10.0.0.1:5432", false, false},
				{"db.test", 5432, "10.0.0.2:5432", true, asked},
				{"db.test", 5432, "10.0.0.3:5432", !asked, false},
			} {
				ip, _ := netip.ParseAddrPort(w.ip)
				r, has := s.Way(w.host, w.port, ip)
				if has != w.has || r.Host != w.host || r.Port != w.port || r.IP != ip || (r.Address != nil) != w.gone {
					t.Errorf("asked %t: %v is %v, %t", asked, w, r, has)
				}
			}
			s.Ask(t.Context())
		}
	})
}

// TestRetain: names of servers that are no more are not asked for; a policy counts for what is known already.
func TestRetain(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		o.set(time.Hour, nil, "10.0.0.1")
		s, gone := b.Server(servers("db"), false), b.Server(servers("old"), false)
		s.Ask(t.Context())
		gone.Ask(t.Context())
		b.Retain(map[*Server]bool{s: true})
		b.Use(Policy{MaxTTL: 3 * time.Second})
		if k := b.Known(); len(k) != 1 || k[0].Name != "db" || k[0].TTL != 3*time.Second {
			t.Errorf("known: %+v", k)
		}
		pass(31 * time.Second)
		synctest.Wait()
		if asked, _ := o.count(); asked != 2+10 {
			t.Errorf("asked %d times", asked)
		}
	})
}
