package session

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// unseen is a text that is too large to be looked at.
func unseen(what string) string { return "/*" + strings.Repeat("x", 5000) + "*/" + what }

// TestUnseen has the server connection looked through after what nobody has looked at was executed, and not before.
func TestUnseen(t *testing.T) {
	parse, bind, exec := pgscript.Parse, pgscript.Bind, pgscript.Execute
	text := unseen("SET ROLE keeper")
	for _, policy := range []pin.Policy{{Pinning: pin.Keep}, {Pinning: pin.Drop}, {Pinning: pin.Refuse}} {
		for _, c := range []struct {
			name   string
			parse  []byte
			use    []byte
			answer [][]byte
		}{
			{"a Query", nil, pgscript.Query(text), [][]byte{one, readyI}},
			{"an unnamed statement", nil, join(parse("", text), bind("", ""), exec("", 0), sync0), [][]byte{done1, done2, one, readyI}},
			{"an unnamed statement, parsed before", join(parse("", text), sync0), join(bind("", ""), exec("", 0), sync0), [][]byte{done2, one, readyI}},
			{"one in the place of another", join(parse("", "SELECT 1"), parse("", text), sync0), join(bind("", ""), exec("", 0), sync0), [][]byte{done2, one, readyI}},
		} {
			r := newRig()
			r.policy = policy
			if c.parse != nil {
				r.client(t, c.parse)
				if r.server(t, done1, done1, readyI); r.Doubtful() || r.Free() || r.Reasons.Of("") != pin.Unknown {
					t.Errorf("%s, %v: doubtful %v when it is parsed, free %v", c.name, policy, r.Doubtful(), r.Free())
				}
			}
			changes := r.shared.Registry.Changes()
			if r.client(t, c.use); r.shared.Registry.Changes() == changes {
				t.Errorf("%s, %v: it changes nothing of the catalogue", c.name, policy)
			}
			if !r.Left().Dirty {
				t.Errorf("%s, %v: a session that ends now leaves nothing", c.name, policy)
			}
			r.server(t, c.answer...)
			if !r.Doubtful() || !r.Left().Dirty {
				t.Fatalf("%s, %v: doubtful %v, dirty %v", c.name, policy, r.Doubtful(), r.Left().Dirty)
			}
			role := settings.Of(settings.Pair{Name: "role", Value: "keeper"})
			if lost := r.Looked(role, 0, nil); lost != 0 || r.Want != role {
				t.Errorf("%s, %v: loses %s, has %v", c.name, policy, lost, r.Want)
			}
			r.client(t, pgscript.Query("SELECT 1"))
			if r.server(t, one, readyI); !r.Free() || r.Asks() {
				t.Errorf("%s, %v: it is not over with the next statement", c.name, policy)
			}
		}
	}
}

// TestUnseenRefused has the server refuse a text that is too large to be looked at: there is no unnamed statement then; and skip one: the statement
// before it is still there.
func TestUnseenRefused(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Parse("", unseen("nope")), sync0)
	if r.server(t, oops, readyI); !r.Free() || r.Unnamed.ID != 0 {
		t.Errorf("refused: free %v, the unnamed statement is number %d", r.Free(), r.Unnamed.ID)
	}
	r.client(t, pgscript.Parse("", "SELECT 1"), sync0)
	r.server(t, done1, readyI)
	was := r.Unnamed.ID
	r.client(t, pgscript.Bind("", "nope"), pgscript.Parse("", unseen("SELECT 2")), sync0)
	if r.server(t, oops, readyI); !r.Free() || r.Unnamed.ID != was || r.Unnamed.Unknown || string(r.Unnamed.Body) != "SELECT 1\x00\x00\x00" {
		t.Errorf("skipped: free %v, the unnamed statement is %+v", r.Free(), r.Unnamed)
	}
}

// TestUnseenAgain has the server skip what would have taken the place of a statement that is too large to be looked at: it is there, and nowhere else.
func TestUnseenAgain(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Parse("", unseen("SELECT 1")), sync0)
	r.server(t, done1, readyI)
	r.client(t, pgscript.Bind("", "nope"), pgscript.Parse("", "SELECT 2"), sync0)
	if r.server(t, oops, readyI); r.Free() {
		t.Error("it is not kept")
	}
	r.srv.Held.Unnamed = 0
	check2(t, "elsewhere", r.client(t, pgscript.Bind("", ""), sync0), "C S; B; S")
}

// TestUnseenNamed prepares a statement that is too large to be looked at, where the session keeps its server connection for it, and where it may not.
func TestUnseenNamed(t *testing.T) {
	text := unseen("SELECT 1")
	use := join(pgscript.Bind("", "big"), pgscript.Execute("", 0), sync0)
	r := newRig()
	r.client(t, pgscript.Parse("big", text), sync0)
	if r.server(t, done1, readyI); r.Free() || r.Doubtful() {
		t.Errorf("kept: free %v, doubtful %v", r.Free(), r.Doubtful())
	}
	check2(t, "kept", r.client(t, use), "B  big; E  0; S")
	if r.server(t, done2, one, readyI); !r.Doubtful() {
		t.Error("nobody looks at what it has left")
	}

	r = newRig()
	r.policy.Pinning = pin.Drop
	r.client(t, pgscript.Parse("big", text), sync0)
	check2(t, "dropped", r.server(t, done1, readyI), "1") // the ReadyForQuery waits until it is told what it loses
	if !r.Doubtful() || !r.srv.Tainted {
		t.Errorf("dropped: doubtful %v, the server connection is reset: %v", r.Doubtful(), r.srv.Tainted)
	}
	if lost := r.Looked(settings.Set{}, 0, []string{"big"}); lost != pin.Unknown {
		t.Errorf("dropped: it is told that it loses %q", lost)
	}
	r.Owed()
	if !r.Free() {
		t.Error("dropped: it is kept")
	}

	r = newRig()
	r.policy.Pinning = pin.Refuse
	check2(t, "refused", r.client(t, pgscript.Parse("big", text), sync0), "D S h_refused; S")
	check2(t, "refused", r.server(t, oops, readyI), "E 0A000 this statement would keep the server connection: something that could not be followed; Z I")
	if !r.Free() || r.Doubtful() {
		t.Errorf("refused: free %v, doubtful %v", r.Free(), r.Doubtful())
	}
}

// TestUnseenStatement refuses what is too large to be looked at where a transaction has one statement, in whatever pieces it comes.
func TestUnseenStatement(t *testing.T) {
	const no = "E 0A000 statements that are larger than max_statement_bytes are not allowed in pool mode statement"
	unit := join(pgscript.Parse("", unseen("BEGIN")), pgscript.Bind("", ""), pgscript.Execute("", 0), sync0)
	for _, piece := range []int{6, 100, 4096, 5001, 1 << 20} {
		r := newRig()
		r.policy.OneStatement = true
		r.play(t, "statement", piece, []step{
			client("Q .; Q SELECT 1", pgscript.Query(unseen("BEGIN")), pgscript.Query("SELECT 1")),
			server(no+"; Z I; C SELECT 1; Z I", oops, readyI, one, readyI),
			client("D S h_refused; B; E  0; S", unit),
			server(no+"; Z I", oops, readyI),
		})
		if !r.Free() || r.Doubtful() {
			t.Errorf("in pieces of %d: free %v, doubtful %v", piece, r.Free(), r.Doubtful())
		}
	}
	for what, msg := range map[string][]byte{"a Query": pgscript.Query(unseen("BEGIN")), "a Parse": unit, "a named Parse": pgscript.Parse("a", unseen("BEGIN"))} {
		r := newRig()
		r.policy.OneStatement = true
		q, _, _, err := r.Begin(msg)
		if err != nil || q == nil || r.Allow(q).Action != query.Reject {
			t.Errorf("%s: %v, %v", what, q, err)
		}
	}
	r := newRig()
	r.policy.OneStatement = true
	if q, _, _, err := r.Begin(pgscript.Bind("", "a", strings.Repeat("v", 5000))); err != nil || q == nil || r.Allow(q).Action == query.Reject {
		t.Errorf("a large value: %v, %v", q, err)
	}
}

// TestCallInPieces refuses a FunctionCall that is too large to be there whole.
func TestCallInPieces(t *testing.T) {
	call := pgscript.Frame(pgwire.FunctionRun, append([]byte{0, 0, 0x0b, 0x40}, make([]byte, 5000)...)) // pg_advisory_lock
	for _, piece := range []int{10, 4096, 1 << 20} {
		r := newRig()
		r.policy.Pinning = pin.Refuse
		r.play(t, "call", piece, []step{
			client("Q .; Q SELECT 1", call, pgscript.Query("SELECT 1")),
			server("E 0A000 this statement would keep the server connection: a session advisory lock; Z I; C SELECT 1; Z I", oops, readyI, one, readyI),
		})
	}
}
