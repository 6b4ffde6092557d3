package backend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestExchange asks a server and reads the answer to its end, in pieces of every length.
func TestExchange(t *testing.T) {
	null := pgscript.Frame('D', []byte{0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'x'})
	for _, c := range []struct {
		name   string
		answer []byte
		want   string // columns, refusal, whether the connection is of no more use
	}{
		{"rows", join(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 25}), pgscript.DataRow("1", "2"), null, done, readyI), "0=1 1=2 0=NULL 1=x"},
		{"a refusal", join(failure, readyE), "57014"},
		{"notices", join(pgscript.NoticeResponse("NOTICE", "00000", "x"), pgscript.ParameterStatus("a", "b"), done, readyI), ""},
		{"a notice behind it", join(done, readyI, pgscript.NoticeResponse("NOTICE", "00000", "x")), ""},
		{"the end of the connection", pgscript.ErrorResponse("FATAL", "57P01", "bye"), "lost"},
		{"a row that is none", join(pgscript.Frame('D', []byte{0, 9}), readyI), "lost"},
		{"no status", pgscript.Frame('Z'), "lost"},
		{"an error that is none", pgscript.Frame('E', []byte("S")), "lost"},
	} {
		for piece := 1; piece < len(c.answer)+2; piece++ {
			s := newStage(t)
			conn := s.open()
			conn.Held.Unnamed = 7
			var got []string
			w := s.lease(conn, func(task *reactor.Task) {
				refused, err := conn.Exchange(task, "SELECT 1", func(i int, v []byte) {
					if v == nil {
						v = []byte("NULL")
					}
					got = append(got, fmt.Sprintf("%d=%s", i, v))
				})
				if refused != nil && err == nil {
					got = append(got, refused.SQLState)
				}
				if err != nil {
					got = append(got, "lost")
				}
			})
			s.check(c.name+": question", s.lines(), "Q SELECT 1")
			for p := c.answer; len(p) > 0; p = p[min(piece, len(p)):] {
				s.feed(p[:min(piece, len(p))])
			}
			s.check(fmt.Sprintf("%s in pieces of %d", c.name, piece), strings.Join(got, " "), c.want)
			if len(conn.in) > 0 && c.want != "lost" {
				t.Errorf("%s in pieces of %d: %q is left of a message", c.name, piece, conn.in)
			}
			if !w.over || conn.Held.Unnamed != 0 {
				t.Errorf("%s: over %v, unnamed statement %d", c.name, w.over, conn.Held.Unnamed)
			}
		}
	}
}

// TestApply brings a connection to other settings, and leaves it as it was where the server refuses.
func TestApply(t *testing.T) {
	s := newStage(t)
	c := s.open()
	want := settings.Of(settings.Pair{Name: "work_mem", Value: "1MB"})
	var refusals []string
	apply := func(answer ...[]byte) {
		s.lease(c, func(task *reactor.Task) {
			refused, err := c.Apply(task, want)
			if err != nil {
				t.Error(err)
			}
			if refused != nil {
				refusals = append(refusals, refused.SQLState)
			}
		})
		s.feed(answer...)
	}
	apply(failure, readyI)
	if len(refusals) != 1 || c.Settings != (settings.Set{}) {
		t.Errorf("refused %v, set %v", refusals, c.Settings)
	}
	s.sent()
	apply(done, readyI)
	s.check("change", s.lines(), "Q SELECT pg_catalog.set_config('work_mem','1MB',false);")
	if c.Settings != want {
		t.Error("what the server has accepted is not noted")
	}
	apply()
	s.check("no change", s.sent(), "")
}

// TestAsk learns what is set from a server's rows.
func TestAsk(t *testing.T) {
	s := newStage(t)
	c := s.open()
	null := func(name string) []byte {
		return pgscript.Frame('D', []byte{0, 3, 0, 0, 0, byte(len(name))}, []byte(name), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	var set []settings.Pair
	var reset []string
	var holds pin.Set
	w := s.lease(c, func(task *reactor.Task) {
		var err error
		if set, reset, holds, err = c.Ask(task, []string{"work_mem", "datestyle", "role", "session_authorization", "app.x"}); err != nil {
			t.Error(err)
		}
	})
	kinds := ""
	for _, line := range strings.Split(s.lines(), "; ") {
		kinds += line[:1]
	}
	if kinds != "CPBECS" {
		t.Errorf("the question is %s", kinds)
	}
	s.feed(pgscript.CloseComplete(), pgscript.ParseComplete(), pgscript.BindComplete(), pgscript.DataRow("work_mem", "1MB", "f"), pgscript.DataRow("datestyle", "ISO", "t"),
		pgscript.DataRow("role", "none", "f"), pgscript.DataRow("session_authorization", "eve", "t"), null("app.x"),
		pgscript.DataRow("log_statement", "all", "s"), pgscript.DataRow("log_duration", "on", "s"), done, pgscript.CloseComplete(), readyT)
	if again := s.lines(); w.over || !strings.Contains(again, "ARRAY['log_statement','log_duration']") {
		t.Errorf("over %v, then asked %q", w.over, again)
	}
	s.feed(pgscript.ParseComplete(), pgscript.BindComplete(), pgscript.DataRow("log_duration"), done, pgscript.CloseComplete(), readyT)
	if !w.over || fmt.Sprint(set, reset) != "[{work_mem 1MB} {session_authorization eve} {log_statement all}] [datestyle role app.x log_duration]" || holds != pin.Unknown || c.Status != 'T' {
		t.Errorf("over %v, set %v, reset %v, holds %v, status %q", w.over, set, reset, holds, c.Status)
	}
}

// TestGrants asks for privileges for parameters where the server has them.
func TestGrants(t *testing.T) {
	for version, want := range map[string]bool{"": false, "12.19": false, "14.9 (Debian 14.9-1)": false, "15.4": true, "17beta1": true, "18": true} {
		c := &Conn{}
		c.SetParam([]byte("server_version"), []byte(version))
		if c.grants() != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}

// TestSame tells targets apart whose connections are not interchangeable.
func TestSame(t *testing.T) {
	made := func() *Target {
		return &Target{Node: "n", Host: "h", Port: 1, Database: "d", User: "u", Secret: NewSecret("u", "p"), Timeout: 1, MaxStatements: 1, MaxStatementBytes: 1}
	}
	if !made().Same(made()) {
		t.Error("a target is not the same as one like it")
	}
	for name, change := range map[string]func(*Target){
		"host": func(x *Target) { x.Host = "i" }, "port": func(x *Target) { x.Port++ }, "database": func(x *Target) { x.Database = "e" },
		"user": func(x *Target) { x.User = "v" }, "secret": func(x *Target) { x.Secret = NewSecret("u", "q") },
		"statements": func(x *Target) { x.MaxStatements++ }, "bytes": func(x *Target) { x.MaxStatementBytes++ }, "timeout": func(x *Target) { x.Timeout++ },
		"user timeout": func(x *Target) { x.UserTimeout++ }, "query": func(x *Target) { x.ConnectQuery = "SELECT 1" },
	} {
		x := made()
		if change(x); made().Same(x) {
			t.Errorf("another %s is the same", name)
		}
	}
	if s := fmt.Sprintf("%v %+v %s", made().Secret, made().Secret, made().Secret); strings.Contains(s, "p}") || strings.Contains(s, " p ") {
		t.Errorf("a secret shows itself: %s", s)
	}
}
