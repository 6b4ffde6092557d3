package told

import "bytes"

// body reads what the server has taken, or sent, so that it is well formed.
type body []byte

func (b *body) take(n int) []byte {
	n = min(n, len(*b))
	out := (*b)[:n]
	*b = (*b)[n:]
	return out
}

// int reads a number of n bytes; 2^32-1 is -1, as in the length of a NULL.
func (b *body) int(n int) int {
	v := 0
	for _, c := range b.take(n) {
		v = v<<8 | int(c)
	}
	if v == 1<<32-1 {
		return -1
	}
	return v
}

func (b *body) name() string {
	s, rest, _ := bytes.Cut(*b, []byte{0})
	*b = rest
	return string(s)
}

// values reads the values of a Bind or a DataRow; nil is NULL.
func (b *body) values() (vs [][]byte) {
	for n := b.int(2); n > 0; n-- {
		if size := b.int(4); size < 0 {
			vs = append(vs, nil)
		} else {
			vs = append(vs, append([]byte{}, b.take(size)...))
		}
	}
	return vs
}

// types reads the types of a RowDescription.
func (b *body) types() []uint32 {
	ts := []uint32{}
	for n := b.int(2); n > 0; n-- {
		b.name()
		b.take(6)
		ts = append(ts, uint32(b.int(4)))
		b.take(8)
	}
	return ts
}
