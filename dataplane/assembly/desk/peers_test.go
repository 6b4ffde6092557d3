package desk

import "testing"

// TestPlaceOf: where a peer is, as SHOW PEERS has it.
func TestPlaceOf(t *testing.T) {
	for address, want := range map[string]struct {
		host string
		port int
	}{
		"10.0.0.1:6432":            {"10.0.0.1", 6432},
		"[::1]:6432":               {"::1", 6432},
		"unix:/run/.s.PGSQL.6432":  {"/run", 6432},
		"unix:/.s.PGSQL.6432":      {"/", 6432},
		"unix:/run/.s.PGSQL.x":     {"/run/.s.PGSQL.x", 0},
		"unix:/run/.s.PGSQL.65536": {"/run/.s.PGSQL.65536", 0},
		"unix:/run/sock":           {"/run/sock", 0},
		"?":                        {"?", 0},
	} {
		if host, port := placeOf(address); host != want.host || port != want.port {
			t.Errorf("%s: got %s, %d", address, host, port)
		}
	}
}
