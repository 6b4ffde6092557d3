// Package duplex is the client's side of a gRPC stream whose messages are read from a channel, so that one goroutine can wait for them and for other things. It never knows what the messages say.
package duplex

import "google.golang.org/grpc"

// Stream is a stream that a goroutine receives from. Its methods are for one goroutine.
type Stream[Req, Res any] struct {
	rpc   grpc.BidiStreamingClient[Req, Res]
	in    chan *Res
	ended error // why in was closed
}

// New begins to receive. Whoever makes a stream cancels the stream's context in the end and then calls Drain.
func New[Req, Res any](rpc grpc.BidiStreamingClient[Req, Res]) *Stream[Req, Res] {
	s := &Stream[Req, Res]{rpc: rpc, in: make(chan *Res)}
	go s.receive()
	return s
}

func (s *Stream[Req, Res]) receive() {
	defer close(s.in)
	for {
		m, err := s.rpc.Recv()
		if err != nil {
			s.ended = err
			return
		}
		s.in <- m
	}
}

// In yields what comes. It is closed when the stream has ended; then Err says why.
func (s *Stream[Req, Res]) In() <-chan *Res { return s.in }

// Err is why the stream has ended. It is called after In was closed.
func (s *Stream[Req, Res]) Err() error { return s.ended }

// Send sends. That it fails means that the stream has ended; then the error is why.
func (s *Stream[Req, Res]) Send(m *Req) error {
	err := s.rpc.Send(m)
	if err == nil {
		return nil
	}
	s.Drain()
	if s.ended != nil {
		return s.ended
	}
	return err
}

// Drain returns when nothing of the stream runs any more, which is when it has ended. What still comes is dropped.
func (s *Stream[Req, Res]) Drain() {
	for range s.in {
	}
}
