package faultconn

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// recorder keeps what is written to it, write by write.
type recorder struct {
	net.Conn
	writes [][]byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(b))
	return len(b), nil
}

// TestCutter cuts writes now and then, and never changes what arrives.
func TestCutter(t *testing.T) {
	r := &recorder{}
	c := NewCutter(r, 1)
	var sent []byte
	const writes = 60
	for i := range writes {
		p := bytes.Repeat([]byte{byte(i)}, 1+100*(i%3))
		sent = append(sent, p...)
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := bytes.Join(r.writes, nil); !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrive, not the %d that were sent", len(got), len(sent))
	}
	if n := len(r.writes); n <= writes || n >= 4*writes {
		t.Errorf("%d writes come as %d", writes, n)
	}
}

// TestCutterHolds puts writes together.
func TestCutterHolds(t *testing.T) {
	r := &recorder{}
	c := NewCutter(r, 1)
	c.Hold()
	for range 50 {
		c.Write([]byte("abc"))
	}
	if len(r.writes) > 0 {
		t.Error("something is sent while it is held")
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if n, got := len(r.writes), bytes.Join(r.writes, nil); n < 2 || n > 4 || len(got) != 150 {
		t.Errorf("%d bytes in %d pieces", len(got), n)
	}
	if err := c.Release(); err != nil || len(r.writes) > 4 {
		t.Error("nothing is sent once more")
	}
}

// TestRelay hands on both ways, and an end.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	c, err := net.Dial("tcp", Relay(t, l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{}).Read(sent)
	go func() {
		c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d come back: %v", len(got), len(sent), err)
	}
}
