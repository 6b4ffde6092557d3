package hosts

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest/observer"
)

// next are the addresses of a server's routes for a new connection, without their ports.
func next(s *Server) string { return short(s.Next()) }

func short(routes []Route, known bool, err error) string {
	if !known {
		return "unknown"
	}
	var all []string
	for _, r := range routes {
		all = append(all, strings.TrimPrefix(r.IP.Addr().String(), "10.0.0."))
	}
	return strings.Join(all, " ")
}

// way finds a route again by the end of its address.
func way(t *testing.T, s *Server, end string) Route {
	t.Helper()
	routes, _, _ := s.Routes()
	for _, r := range routes {
		if strings.HasSuffix(r.IP.Addr().String(), "."+end) {
			return r
		}
	}
	t.Fatalf("no route to %s", end)
	return Route{}
}

// TestSpread begins each connection with the next of all addresses of all hosts, and puts those behind all others that have failed.
func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts []string
		steps string // "N ways": so many times; "look ways": without a turn; "fail A", "answer A", "pass TIME", "known N" failures
	}{
		{"three", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "1 1 2 3; look 2 3 1; 1 2 3 1; 1 3 1 2; 1 1 2 3"},
		{"one", []string{"10.0.0.1"}, "3 1; fail 1; 3 1; answer 1; 1 1"},
		{"addresses of a name", []string{"10.0.0.1", "db"}, "1 1 8 9; 1 8 9 1; 1 9 1 8; 1 1 8 9"},
		{"one more than once", []string{"10.0.0.1", "10.0.0.1", "10.0.0.2"}, "1 1 1 2; 1 1 2 1; 1 2 1 1; fail 1; 1 2 1"},
		{"the others take turns", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "fail 2; 1 1 3 2; look 3 1 2; 1 3 1 2; 1 1 3 2; answer 2; 1 1 2 3; 1 2 3 1"},
		{"one at a time tries again", []string{"10.0.0.1", "10.0.0.2"}, "fail 2; pass 4999ms; 1 1 2; pass 1ms; look 1 2; 1 2 1; 2 1 2; pass 5s; 1 2 1; 2 1 2; answer 2; 1 2 1; 1 1 2"},
		{"again in vain", []string{"10.0.0.1", "10.0.0.2"}, "fail 2; pass 5s; 1 2 1; pass 1s; fail 2; pass 4s; 1 1 2; pass 1s; 1 2 1"},
		{"all", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "fail 3; pass 1s; fail 1; fail 2; 2 3 1 2; pass 4s; 1 3 1 2; 1 1 2 3; pass 1s; 1 1 2 3; 1 2 3 1; answer 1; 1 1 3 2"},
		{"an address that is gone", []string{"10.0.0.1", "db"}, "fail 8; fail 9; 2 1 8 9; change 7 8; 1 1 7 8; 1 7 1 8; known 2; fail 1; known 2; 1 7 8 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
				o.set(time.Minute, nil, "10.0.0.8", "10.0.0.9")
				s := b.Server(servers(tt.hosts...), true)
				s.Ask(t.Context())
				for step := range strings.SplitSeq(tt.steps, "; ") {
					what, rest, _ := strings.Cut(step, " ")
					switch what {
					case "fail":
						s.Failed(way(t, s, rest))
					case "answer":
						s.Answered(way(t, s, rest))
					case "pass":
						d, err := time.ParseDuration(rest)
						if err != nil {
							t.Fatal(err)
						}
						pass(d)
					case "change":
						var addrs []string
						for a := range strings.FieldsSeq(rest) {
							addrs = append(addrs, "10.0.0."+a)
						}
						o.set(time.Minute, nil, addrs...)
						s.Renew(t.Context(), time.Now())
					case "known":
						if n := len(s.turns.failures()); fmt.Sprint(n) != rest {
							t.Errorf("%s: %d", step, n)
						}
					case "look":
						if got := short(s.Routes()); got != rest {
							t.Errorf("%s: %s", step, got)
						}
					default:
						for range what[0] - '0' {
							if got := next(s); got != rest {
								t.Errorf("%s: %s", step, got)
							}
						}
					}
				}
			})
		})
	}
}

// TestSpreadApart: who spreads is another server than who does not at the same hosts, and does not care who has answered last.
func TestSpreadApart(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		list := servers("10.0.0.1", "10.0.0.2")
		spread, one := b.Server(list, true), b.Server(list, false)
		if spread == one || b.Server(list, true) != spread || b.Server(list, false) != one || !spread.Spreads() || one.Spreads() || spread.String() != one.String() {
			t.Error("they are not two servers at the same hosts")
		}
		spread.Answered(way(t, spread, "2"))
		one.Answered(way(t, one, "2"))
		one.Failed(way(t, one, "2"))
		for range 3 {
			if got := next(one); got != "2 1" {
				t.Errorf("without spreading: %s", got)
			}
		}
		if got := next(spread) + ", " + next(spread); got != "1 2, 2 1" {
			t.Errorf("with spreading: %s", got)
		}
		b.Retain(map[*Server]bool{one: true})
		if b.Server(list, true) == spread || b.Server(list, false) != one {
			t.Error("the wrong one of two is forgotten")
		}
	})
}

// TestSpreadEvenly: many threads get each host as often as the others, and of those who come at once, when the time of a failure is over,
// one tries the host again.
func TestSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Fixed(servers("10.0.0.1", "10.0.0.2", "10.0.0.3"), true)
		count := func() map[string]int {
			var mu sync.Mutex
			first := map[string]int{}
			var all sync.WaitGroup
			for range 30 {
				all.Go(func() {
					for range 10 {
						got := next(s)[:1]
						mu.Lock()
						first[got]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			return first
		}
		if n := count(); n["1"] != 100 || n["2"] != 100 || n["3"] != 100 {
			t.Errorf("first were %v", n)
		}
		s.Failed(way(t, s, "3"))
		if n := count(); n["1"] != 150 || n["2"] != 150 {
			t.Errorf("with one that has failed %v", n)
		}
		pass(avoided)
		if n := count(); n["3"] != 1 || n["1"] < 149 || n["2"] < 149 {
			t.Errorf("when its time is over %v", n)
		}
	})
}
