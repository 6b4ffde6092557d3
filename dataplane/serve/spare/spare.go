// Package spare keeps buffers for bytes that outlive a park. It never looks at what is in them.
package spare

const (
	maxBytes   = 128 << 10 // of a buffer that is kept for the next who needs one
	maxBuffers = 256
)

// Buffers are those of one loop, whose thread alone uses them.
type Buffers struct{ free [][]byte }

// Copy copies p into a buffer that outlives parks. It is given back with Done.
func (s *Buffers) Copy(p []byte) []byte {
	var b []byte
	if n := len(s.free); n > 0 {
		b, s.free = s.free[n-1], s.free[:n-1]
	}
	return append(b[:0], p...)
}

// Done gives a buffer back.
func (s *Buffers) Done(b []byte) {
	if cap(b) > 0 && cap(b) <= maxBytes && len(s.free) < maxBuffers {
		s.free = append(s.free, b)
	}
}
