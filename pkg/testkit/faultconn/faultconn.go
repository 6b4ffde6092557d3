// Package faultconn makes a connection behave as badly as networks do: late, in pieces, cut in the middle. It never changes a
// byte that it delivers.
package faultconn

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Faults says what happens to one direction. The zero value is a healthy connection.
type Faults struct {
	// Chunk is the most that one read returns or one write hands on at a time, in bytes; 0 means no limit.
	Chunk int
	// Delay comes before every read, and before every piece of a write.
	Delay time.Duration
	// Cut ends the connection after that many bytes; 0 means never.
	Cut int64
}

// ErrCut is what the side that is cut sees.
var ErrCut = fmt.Errorf("faultconn: cut: %w", io.ErrClosedPipe)

// A Conn is a connection with faults. Like any net.Conn, it may be read and written by two goroutines.
type Conn struct {
	net.Conn
	read, write     Faults
	nread, nwritten atomic.Int64
}

// New wraps a connection; read and write are as its user sees them.
func New(c net.Conn, read, write Faults) *Conn {
	return &Conn{Conn: c, read: read, write: write}
}

// Read reads a piece.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.read.next(len(b), c.nread.Load())
	if err != nil {
		return 0, c.cut()
	}
	time.Sleep(c.read.Delay)
	n, err = c.Conn.Read(b[:n])
	c.nread.Add(int64(n))
	return n, err
}

// Write writes all of b, piece by piece, or up to the cut.
func (c *Conn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := c.write.next(len(b)-done, c.nwritten.Load())
		if err != nil {
			return done, c.cut()
		}
		time.Sleep(c.write.Delay)
		n, err = c.Conn.Write(b[done : done+n])
		done += n
		c.nwritten.Add(int64(n))
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// cut closes the connection at once: what the kernel still holds is dropped and the peer sees a reset.
func (c *Conn) cut() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	c.Close()
	return ErrCut
}

// next says how many of want bytes may pass when done have passed.
func (f Faults) next(want int, done int64) (int, error) {
	if f.Cut > 0 {
		left := f.Cut - done
		if left <= 0 {
			return 0, ErrCut
		}
		want = int(min(int64(want), left))
	}
	if f.Chunk > 0 {
		want = min(want, f.Chunk)
	}
	return want, nil
}
