package settings

import "github.com/heliosproxy/heliosproxy/pkg/sqltext"

// Reading remembers whether texts under some settings can be read byte by byte.
type Reading struct {
	of        Set
	known, ok bool
}

// Followable says whether texts under the settings s can be read byte by byte: their encoding lets them.
func (r *Reading) Followable(s Set) bool {
	if r.of != s || !r.known {
		v, set := s.Get("client_encoding")
		r.ok, r.of, r.known = !set || sqltext.Followable(v), s, true
	}
	return r.ok
}
