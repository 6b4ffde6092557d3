package duplex_test

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/heliosproxy/heliosproxy/pkg/duplex"
)

// scripted is a stream that yields what it is given and then an error.
type scripted struct {
	grpc.ClientStream
	in    []int
	ended error
	send  error
}

func (s *scripted) Recv() (*int, error) {
	if len(s.in) == 0 {
		return nil, s.ended
	}
	m := s.in[0]
	s.in = s.in[1:]
	return &m, nil
}

func (s *scripted) Send(*string) error { return s.send }

var errReset = errors.New("reset")

func TestReceive(t *testing.T) {
	s := duplex.New[string, int](&scripted{in: []int{1, 2}, ended: errReset})
	var got []int
	for m := range s.In() {
		got = append(got, *m)
	}
	if len(got) != 2 || got[0] != 1 || got[1] != 2 || !errors.Is(s.Err(), errReset) {
		t.Errorf("got %v, %v", got, s.Err())
	}
}

// TestSend: a send that fails says why the stream has ended, also while messages wait that nobody reads.
func TestSend(t *testing.T) {
	for _, tt := range []struct{ send, ended, want error }{
		{nil, errReset, nil}, {io.EOF, errReset, errReset}, {io.EOF, nil, io.EOF},
	} {
		rpc := &scripted{in: []int{1, 2, 3}, ended: tt.ended, send: tt.send}
		if tt.ended == nil {
			rpc.in, rpc.ended = nil, io.EOF
		}
		s := duplex.New[string, int](rpc)
		if err := s.Send(new(string)); !errors.Is(err, tt.want) {
			t.Errorf("got %v, want %v", err, tt.want)
		}
		s.Drain()
	}
}
