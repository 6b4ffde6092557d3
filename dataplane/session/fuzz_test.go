package session

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// machineSide feeds one direction of a machine.
type machineSide func(r *rig, p []byte) ([]byte, error)

func fromClient(r *rig, p []byte) ([]byte, error) {
	out, back, err := r.FromClient(p, r.srv)
	return append(bytes.Clone(out), back...), err
}

func fromServer(r *rig, p []byte) ([]byte, error) {
	out, err := r.FromServer(p, r.srv)
	return bytes.Clone(out), err
}

// splits feeds the stream whole, and in pieces of the given length: what comes out is the same, as far
// as neither went wrong, and it is no longer than what went in and what the machine may add to that.
func splits(start func() *rig, side machineSide, stream []byte, piece int) error {
	whole, err1 := side(start(), stream)
	r := start()
	var pieces []byte
	var err2 error
	for p := stream; len(p) > 0 && err2 == nil; {
		n := min(piece, len(p))
		var out []byte
		out, err2 = side(r, p[:n:n])
		pieces = append(pieces, out...)
		p = p[n:]
	}
	if (err1 == nil) != (err2 == nil) {
		return fmt.Errorf("whole: %v, in pieces: %v", err1, err2)
	}
	if err1 == nil && !bytes.Equal(whole, pieces) {
		return fmt.Errorf("whole:  %q\npieces: %q", whole, pieces)
	}
	if len(whole) > 64*len(stream)+1<<14 {
		return fmt.Errorf("%d bytes made of %d", len(whole), len(stream))
	}
	return nil
}

func clientSeeds() [][]byte {
	return [][]byte{
		join(pgscript.Query("SELECT 1"), pgscript.Query("SET work_mem = 1; RESET ALL")),
		join(pgscript.Parse("a", "SELECT $1::int"), pgscript.Bind("", "a", "7"), pgscript.DescribeStatement("a"), pgscript.Execute("", 0), pgscript.CloseStatement("a"), pgscript.Sync()),
		join(pgscript.Parse("", "DISCARD ALL"), pgscript.Bind("p", ""), pgscript.Execute("p", 1), pgscript.Flush(), pgscript.Sync()),
		join(pgscript.Parse("a", "SELECT 1"), pgscript.Parse("a", "SELECT 2"), pgscript.Sync(), pgscript.Query("COPY t FROM STDIN"), pgscript.CopyData("x"), pgscript.CopyDone()),
		join(pgscript.Query(string(make([]byte, 5000)))),
	}
}

func join(msgs ...[]byte) []byte { return bytes.Join(msgs, nil) }

// FuzzFromClient feeds whatever a client may send, in two ways.
func FuzzFromClient(f *testing.F) {
	for i, s := range clientSeeds() {
		f.Add(s, i+1)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if piece < 1 || piece > 1<<16 || len(stream) > 1<<16 {
			return
		}
		if err := splits(func() *rig { return newRig() }, fromClient, stream, piece); err != nil {
			t.Error(err)
		}
	})
}

// expecting is a machine whose server owes answers to all kinds of messages.
func expecting() *rig {
	r := newRig()
	_, _, _ = r.FromClient(join(clientSeeds()[:4]...), r.srv)
	return r
}

// FuzzFromServer feeds whatever a server may send to a machine that expects a lot.
func FuzzFromServer(f *testing.F) {
	e := pgscript.ErrorResponse("ERROR", "42601", "no")
	for i, s := range [][]byte{
		join(pgscript.CommandComplete("SELECT 1"), pgscript.ReadyForQuery('I'), pgscript.CommandComplete("SET"), pgscript.CommandComplete("RESET"), pgscript.ReadyForQuery('T')),
		join(e, pgscript.ReadyForQuery('I'), e, pgscript.ReadyForQuery('E'), e, pgscript.ReadyForQuery('I')),
		join(pgscript.ReadyForQuery('I'), pgscript.ReadyForQuery('I'), pgscript.ParseComplete(), pgscript.BindComplete(), pgscript.ParameterDescription(23), pgscript.NoData(), pgscript.DataRow("x")),
		join(pgscript.CopyInResponse(1), pgscript.ParameterStatus("TimeZone", "UTC"), pgscript.NoticeResponse("NOTICE", "00000", "x")),
	} {
		f.Add(s, i+1)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if piece < 1 || piece > 1<<16 || len(stream) > 1<<16 {
			return
		}
		if err := splits(expecting, fromServer, stream, piece); err != nil {
			t.Error(err)
		}
	})
}

// TestFuzzersSee plants faults that the fuzzers' check has to see.
func TestFuzzersSee(t *testing.T) {
	forgets := func(r *rig, p []byte) ([]byte, error) { // what was kept of a message in pieces
		r.input = nil
		return fromClient(r, p)
	}
	swells := func(r *rig, p []byte) ([]byte, error) {
		out, err := fromClient(r, p)
		return append(out, make([]byte, 100*len(p)+1<<15)...), err
	}
	fails := func(r *rig, p []byte) ([]byte, error) {
		if len(p) < 4 {
			return nil, errors.New("too short")
		}
		return fromClient(r, p)
	}
	for name, side := range map[string]machineSide{"forgets": forgets, "swells": swells, "fails": fails} {
		if splits(func() *rig { return newRig() }, side, clientSeeds()[1], 3) == nil {
			t.Errorf("a machine that %s is not seen", name)
		}
	}
	for _, s := range clientSeeds() {
		for piece := 1; piece < 40; piece++ {
			if err := splits(func() *rig { return newRig() }, fromClient, s, piece); err != nil {
				t.Errorf("pieces of %d: %v", piece, err)
			}
		}
	}
}
