package replication

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// FuzzStream feeds both directions with anything, whole and in pieces: every byte goes through, and what is known then is the same.
func FuzzStream(f *testing.F) {
	f.Add(pgscript.Query("START_REPLICATION"), append(bytes.Clone(copyBoth), pgscript.CopyData("x")...), 3)
	f.Add([]byte{'Q', 0, 0, 0, 0, 'Q', 0xff, 0xff, 0xff, 0xff}, pgscript.ReadyForQuery('T'), 1)
	f.Fuzz(func(t *testing.T, client, server []byte, size int) {
		if size < 1 {
			return
		}
		if err := agree(New, client, server, size); err != nil {
			t.Error(err)
		}
	})
}

// agree says whether streams that are fed whole and in pieces of size know the same.
func agree(make func(*meter.Account, func() error) *Stream, client, server []byte, size int) error {
	feed := func(size int) (known string, out []byte) {
		m := &meter.Account{}
		s := make(m, func() error { return nil })
		var srv serverstate.Server
		for p := range slices.Chunk(client, size) {
			got, _, _ := s.FromClient(p, &srv)
			out = append(out, got...)
		}
		for p := range slices.Chunk(server, size) {
			got, _ := s.FromServer(p, &srv)
			out = append(out, got...)
		}
		return fmt.Sprint(s.Between(), s.Partial(), s.Busy(), s.Knows(), s.streams, s.status, srv.Status, m.Queries, m.Errors), out
	}
	whole, all := feed(max(1, len(client), len(server)))
	pieces, rest := feed(size)
	switch {
	case !bytes.Equal(all, slices.Concat(client, server)) || !bytes.Equal(rest, all):
		return fmt.Errorf("%q and %q do not go through as they came", client, server)
	case whole != pieces:
		return fmt.Errorf("whole %s, in pieces of %d %s", whole, size, pieces)
	}
	return nil
}

// TestFuzzerSees plants streams that the fuzzer's check has to see: one that begins within a message, which moves in another way in pieces,
// and one that is left, which lets nothing through.
func TestFuzzerSees(t *testing.T) {
	q, data := pgscript.Query("IDENTIFY_SYSTEM"), pgscript.ErrorResponse("ERROR", "42601", "no")
	if err := agree(New, q, data, 3); err != nil {
		t.Error(err)
	}
	left := func(m *meter.Account, leave func() error) *Stream {
		s := New(m, leave)
		s.why = fmt.Errorf("left")
		return s
	}
	if agree(left, q, data, 3) == nil {
		t.Error("a stream that swallows is not seen")
	}
	n := 0
	other := func(m *meter.Account, leave func() error) *Stream {
		s := New(m, leave)
		if n++; n == 2 {
			s.client.n = 2
		}
		return s
	}
	if agree(other, q, data, 3) == nil {
		t.Error("a stream that loses count is not seen")
	}
}
