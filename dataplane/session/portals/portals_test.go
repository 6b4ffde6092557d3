package portals

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// TestPortals opens portals with effects and without, and forgets them.
func TestPortals(t *testing.T) {
	var p Portals
	one, two := &statement.Effects{}, &statement.Effects{SetsAll: true}
	is := func(what string, any bool, unnamed, named *statement.Effects) {
		t.Helper()
		if p.Any() != any || p.Does(nil) != unnamed || p.Does([]byte("p")) != named {
			t.Errorf("%s: %v %v %v", what, p.Any(), p.Does(nil), p.Does([]byte("p")))
		}
	}
	is("none", false, nil, nil)
	p.Open([]byte("p"), nil)
	p.Open(nil, nil)
	is("without effects", false, nil, nil)
	p.Open(nil, one)
	p.Open([]byte("p"), two)
	is("with effects", true, one, two)
	p.EndUnnamed()
	is("a Query", true, nil, two)
	p.Open([]byte("p"), nil)
	is("opened again", false, nil, nil)
	p.Open(nil, one)
	p.Open([]byte("p"), two)
	p.End()
	is("the end", false, nil, nil)

	st := &statement.Statement{}
	p.Bind(st, []byte("s"), true, 0)
	if b := p.Bound; b.Statement != st || string(b.As) != "s" || !b.Told || b.Made != 0 {
		t.Errorf("bound: %+v", b)
	}
	p.BindUnnamed(7)
	if b := p.Bound; b.Statement != nil || b.Made != 7 {
		t.Errorf("the unnamed one: %+v", b)
	}
}
