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
