package serverstate

import (
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// TestParams keeps what a server reports, in the order of the first report, and none of the caller's bytes.
func TestParams(t *testing.T) {
	var s Server
	buf := []byte("TimeZoneUTC")
	s.SetParam(buf[:8], buf[8:])
	copy(buf, "###########")
	s.SetParam([]byte("DateStyle"), []byte("ISO"))
	s.SetParam([]byte("TimeZone"), []byte("Asia/Tokyo"))
	s.SetParam([]byte("DateStyle"), []byte("ISO"))
	if got := fmt.Sprint(s.Params); got != "[{TimeZone Asia/Tokyo} {DateStyle ISO}]" {
		t.Errorf("parameters are %s", got)
	}
	if s.Param("TimeZone") != "Asia/Tokyo" || s.Param("timezone") != "" {
		t.Errorf("by name: %q, by another spelling: %q", s.Param("TimeZone"), s.Param("timezone"))
	}
}

// TestSequences comes back to a connection after the session has used sequences on another one, or has forgotten them: what
// currval answers there is out of date.
func TestSequences(t *testing.T) {
	const me, other = 1, 2
	a, b := &Server{Owner: me}, &Server{Owner: me}
	n := a.UseSequences(0)
	if a.IsForeign(me, n) || a.Away(me, n) != 0 {
		t.Error("what the session has done last on the connection is taken from it")
	}
	n = b.UseSequences(n)
	if !a.IsForeign(me, n) || b.IsForeign(me, n) {
		t.Error("a value of before is taken for the newest, or the newest for one of before")
	}
	if f := a.Away(me, n); f != settings.ForeignSequences || a.Foreign != 0 || a.IsForeign(me, n) {
		t.Errorf("%v is taken away, %v is left", f, a.Foreign)
	}
	if !b.IsForeign(other, 0) || b.Away(other, 0) != settings.ForeignSequences || b.Owner != other {
		t.Error("another session may ask for the value")
	}
}

// TestLearn takes for a default what is reported of a parameter that is not set, and remembers the others'.
func TestLearn(t *testing.T) {
	var s Server
	report := func(name, value string) { s.SetParam([]byte(name), []byte(value)) }
	is := func(want ...string) {
		t.Helper()
		var ps []settings.Pair
		for i := 0; i < len(want); i += 2 {
			ps = append(ps, settings.Pair{Name: want[i], Value: want[i+1]})
		}
		if s.Learn(); s.Defaults != settings.Of(ps...) {
			t.Errorf("%v, want %v", s.Defaults, want)
		}
	}
	report("DateStyle", "ISO")
	report("is_superuser", "on")
	is("datestyle", "ISO", "is_superuser", "on")
	report("DateStyle", "German")
	report("TimeZone", "UTC")
	s.Settings = settings.Of(settings.Pair{Name: "datestyle", Value: "German"}, settings.Pair{Name: "role", Value: "r"})
	report("is_superuser", "off")
	is("datestyle", "ISO", "is_superuser", "on", "timezone", "UTC")
	s.Settings = settings.Set{}
	is("datestyle", "ISO", "is_superuser", "on", "timezone", "UTC") // the server reports it when it goes back
	report("DateStyle", "SQL")
	report("is_superuser", "on")
	is("datestyle", "SQL", "is_superuser", "on", "timezone", "UTC")
}
