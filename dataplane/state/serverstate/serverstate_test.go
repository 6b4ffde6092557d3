package serverstate

import (
	"fmt"
	"testing"
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
