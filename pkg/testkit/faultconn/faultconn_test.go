package faultconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// sizes records how large the pieces are that reach a connection.
type sizes struct {
	net.Conn
	writes []int
}

func (s *sizes) Write(b []byte) (int, error) {
	s.writes = append(s.writes, len(b))
	return s.Conn.Write(b)
}

func TestFaults(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 10)
	tests := []struct {
		name        string
		read, write Faults
		arrive      int // bytes that arrive
		pieces      int // writes that reach the network
		took        time.Duration
		cut         bool
	}{
		{name: "healthy", arrive: 100, pieces: 1},
		{name: "pieces", write: Faults{Chunk: 7}, arrive: 100, pieces: 15},
		{name: "late", write: Faults{Chunk: 50, Delay: time.Second}, arrive: 100, pieces: 2, took: 2 * time.Second},
		{name: "cut", write: Faults{Cut: 33}, arrive: 33, pieces: 1, cut: true},
		{name: "cut at the end of a piece", write: Faults{Chunk: 10, Cut: 40}, arrive: 40, pieces: 4, cut: true},
		{name: "reads in pieces", read: Faults{Chunk: 3}, arrive: 100, pieces: 1},
		{name: "read cut", read: Faults{Cut: 5}, arrive: 5, pieces: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				network := &sizes{Conn: a}
				writer, reader := New(network, Faults{}, tt.write), New(b, tt.read, Faults{})
				start := time.Now()
				written := make(chan error, 1)
				go func() {
					_, err := writer.Write(payload)
					writer.Close()
					written <- err
				}()
				got, err := io.ReadAll(reader)
				if len(got) != tt.arrive || !bytes.Equal(got, payload[:tt.arrive]) {
					t.Errorf("%d bytes arrived, want %d", len(got), tt.arrive)
				}
				if tt.read.Cut > 0 != errors.Is(err, ErrCut) {
					t.Errorf("reader saw %v", err)
				}
				if err := <-written; tt.cut != errors.Is(err, ErrCut) {
					t.Errorf("writer saw %v", err)
				}
				if len(network.writes) != tt.pieces {
					t.Errorf("pieces %v, want %d", network.writes, tt.pieces)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}
