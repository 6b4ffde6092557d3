package replication

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

var copyBoth = pgscript.Frame('W', []byte{0, 0, 0})

// play feeds chunks of n bytes of what the server says, and returns what the client gets of it.
func play(s *Stream, n int, in []byte) (out []byte) {
	var srv serverstate.Server
	for p := range slices.Chunk(in, n) {
		got, err := s.FromServer(p, &srv)
		if err != nil {
			panic(err)
		}
		out = append(out, got...)
	}
	return out
}

// TestLeave ends streams while messages go by, in every cut into pieces: the client has whole messages alone.
func TestLeave(t *testing.T) {
	stop := errors.New("stop")
	ready, data := pgscript.ReadyForQuery('I'), pgscript.CopyData("0123456789")
	for _, c := range []struct {
		name   string
		asked  [][]byte // of the client
		before []byte   // what comes before the stream has to end
		after  []byte   // what comes then
		want   []byte   // what the client gets of that
		ends   bool
	}{
		{"at rest", nil, nil, nil, nil, true},
		{"a command", [][]byte{pgscript.Query("BASE_BACKUP")}, nil, append(pgscript.CommandComplete("SELECT"), ready...), append(pgscript.CommandComplete("SELECT"), ready...), true},
		{"a command that goes on", [][]byte{pgscript.Query("BASE_BACKUP")}, pgscript.CopyOutResponse(0), data, data, false},
		{"two commands", [][]byte{pgscript.Query("A"), pgscript.Query("B")}, nil, append(ready, data...), append(ready, data...), false},
		{"a transaction", [][]byte{pgscript.Query("BEGIN")}, nil, pgscript.ReadyForQuery('T'), pgscript.ReadyForQuery('T'), false},
		{"a stream", [][]byte{pgscript.Query("START_REPLICATION")}, append(copyBoth, data[:3]...), append(data[3:], data...), data[3:], true},
		{"behind a stream", [][]byte{pgscript.Query("START_REPLICATION"), pgscript.CopyDone()}, append(copyBoth, ready...), nil, nil, true},
	} {
		for n := 1; n < 30; n++ {
			var why error
			s := New(&meter.Account{}, func() error { return why })
			var srv serverstate.Server
			for _, p := range c.asked {
				for piece := range slices.Chunk(p, n) {
					if out, back, err := s.FromClient(piece, &srv); !bytes.Equal(out, piece) || back != nil || err != nil {
						t.Fatalf("%s: the client's bytes are changed", c.name)
					}
				}
			}
			if got := play(s, n, c.before); !bytes.Equal(got, c.before) {
				t.Errorf("%s in pieces of %d: %q became %q", c.name, n, c.before, got)
			}
			why = stop
			got := play(s, n, c.after)
			if !bytes.Equal(got, c.want) || (s.Leaves() == stop) != c.ends || c.ends && !s.Between() {
				t.Errorf("%s in pieces of %d: the client got %q, want %q; ends %v, want %v", c.name, n, got, c.want, s.Leaves(), c.ends)
			}
		}
	}
}

// TestKnows tells who has to be told why his connection ends, and what is left on the server's side.
func TestKnows(t *testing.T) {
	m := &meter.Account{}
	s := New(m, func() error { return nil })
	var srv serverstate.Server
	q := pgscript.Query("IDENTIFY_SYSTEM")
	s.FromClient(q[:7], &srv)
	if !s.Partial() || !s.Busy() {
		t.Error("the beginning of a message is not seen")
	}
	s.FromClient(q[7:], &srv)
	if s.Partial() || !s.Busy() || m.Queries != 1 {
		t.Error("a command is not seen")
	}
	play(s, 3, pgscript.ErrorResponse("ERROR", "42601", "no"))
	if !s.Knows() || m.Failures() != 1 {
		t.Error("an error is not seen")
	}
	play(s, 3, pgscript.ReadyForQuery('E'))
	if s.Knows() || s.Busy() || s.Leaves() != nil {
		t.Errorf("behind an error: knows %v, busy %v", s.Knows(), s.Busy())
	}
	play(s, 100, pgscript.CopyData("xxxx")[:7])
	if s.Between() {
		t.Error("half a message is taken as whole")
	}
	s.FromClient(pgscript.Terminate(), &srv)
	if !s.Knows() {
		t.Error("a goodbye is not seen")
	}
}
