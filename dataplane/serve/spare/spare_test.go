package spare

import (
	"bytes"
	"testing"
)

// TestBuffers uses a buffer again that was given back, keeps none that is large, and not more than some.
func TestBuffers(t *testing.T) {
	var s Buffers
	a := s.Copy([]byte("first"))
	b := s.Copy([]byte("second"))
	if string(a) != "first" || string(b) != "second" {
		t.Fatalf("%s, %s", a, b)
	}
	s.Done(a)
	if c := s.Copy([]byte("third")); string(c) != "third" || &c[0] != &a[0] || string(b) != "second" {
		t.Errorf("%s is in another buffer, or the other one has changed: %s", c, b)
	}
	s.Done(nil)
	s.Done(s.Copy(bytes.Repeat([]byte("x"), 2*maxBytes)))
	if n := len(s.free); n != 0 {
		t.Errorf("%d buffers are kept", n)
	}
	for range 2 * maxBuffers {
		s.Done(make([]byte, 1))
	}
	if n := len(s.free); n != maxBuffers {
		t.Errorf("%d buffers are kept", n)
	}
}
