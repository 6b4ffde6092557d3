package statement

import "bytes"

// NoRows is the shape of a statement that returns none.
const NoRows = 1

// ShapeOf is the shape that a RowDescription tells: names, types and their modifiers, in order, as a number that
// is never 0. Formats, and where a column comes from, are not in it.
func ShapeOf(body []byte) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	add := func(p []byte) {
		for _, b := range p {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	const fixed, typ, format = 18, 6, 16 // of what follows a name: its length, where the type begins, where its modifier has ended
	for p := body[min(2, len(body)):]; ; {
		i := bytes.IndexByte(p, 0)
		if i < 0 || len(p) < i+1+fixed {
			return h | 2
		}
		add(p[:i+1])
		add(p[i+1+typ : i+1+format])
		p = p[i+1+fixed:]
	}
}
