package assembly

import (
	"maps"
	"testing"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// TestInherited: a socket goes to the listener whose address it has, else to the one whose name it has, and to one alone.
func TestInherited(t *testing.T) {
	open := func() *reactor.Listener {
		a, err := reactor.ParseAddress("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls, err := reactor.Listen(a, reactor.Share{})
		if err != nil {
			t.Fatal(err)
		}
		return ls
	}
	x, y := open(), open()
	in := &inherited{log: zap.NewNop(), sockets: []handed{{"a", x}, {"b", y}}}
	at := func(ls *reactor.Listener) string { return ls.Address().String() }
	const elsewhere = "127.0.0.9:1"
	for _, tt := range []struct {
		name      string
		addresses map[string]string
		want      map[string]*reactor.Listener
	}{
		{"by address", map[string]string{"p": at(y), "q": at(x)}, map[string]*reactor.Listener{"p": y, "q": x}},
		{"by name", map[string]string{"a": elsewhere, "c": elsewhere}, map[string]*reactor.Listener{"a": x}},
		{"the address goes first", map[string]string{"a": elsewhere, "b": at(x)}, map[string]*reactor.Listener{"b": x}},
		{"neither", map[string]string{"c": elsewhere}, map[string]*reactor.Listener{}},
	} {
		if got := in.match(tt.addresses); !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	fresh := open()
	in.close(map[string]*reactor.Listener{"a": x, "c": fresh}) // a configuration was refused
	if got := in.match(map[string]string{"a": elsewhere}); got["a"] != x {
		t.Error("the next configuration does not find a socket that was handed over")
	}
	in.settle(map[string]*reactor.Listener{"a": x})
	if got := in.match(map[string]string{"a": elsewhere}); len(got) != 0 {
		t.Errorf("a socket is used twice: %v", got)
	}
	again, err := reactor.Listen(y.Address(), reactor.Share{})
	if err != nil {
		t.Errorf("the socket that nobody uses is still open: %v", err)
	} else {
		again.Close()
	}
	if again, err := reactor.Listen(x.Address(), reactor.Share{}); err == nil {
		again.Close()
		t.Error("the socket that is used was closed")
	}
	x.Close()
}
