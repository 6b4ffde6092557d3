package release

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// perItem is more than what an item or reference has on the wire beside its strings and payload: tags and lengths.
const perItem = 32

// size is an upper bound of what an item takes in a message.
func size(n named, payload int) int {
	return perItem + protowire.SizeBytes(len(n.GetKind())) + protowire.SizeBytes(len(n.GetName())) + protowire.SizeBytes(payload)
}

// Chunks yields a difference in parts whose messages take at most limit bytes, or hold a single item that is
// larger. Order is kept, removals come last. Without a difference there is no chunk.
func (d Difference) Chunks(limit int) func(yield func(Difference) bool) {
	return func(yield func(Difference) bool) {
		var part Difference
		n := 0
		flush := func(more int) bool {
			if part.Empty() || n+more <= limit {
				return true
			}
			ok := yield(part)
			part, n = Difference{}, 0
			return ok
		}
		for _, it := range d.Upserts {
			s := size(it, len(it.GetPayload()))
			if !flush(s) {
				return
			}
			part.Upserts = append(part.Upserts, it)
			n += s
		}
		for _, ref := range d.Removes {
			s := size(ref, 0)
			if !flush(s) {
				return
			}
			part.Removes = append(part.Removes, ref)
			n += s
		}
		if !part.Empty() {
			yield(part)
		}
	}
}
