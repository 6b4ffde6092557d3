// Package release is the content of a configuration as bytes: resources in order, one hash over them, the difference between two, cut into chunks. It never looks into the resources beyond kind and name, but to decode them.
package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// item is a resource with the hash of its payload.
type item struct {
	*heliosv1.Item
	sum [sha256.Size]byte
}

// Content is resources in the order of kind and name. It is immutable, and so are the items in it: they are
// shared between contents that have them in common.
type Content struct {
	items []item
	bytes int
	hash  string
}

// Empty is the content without resources.
func Empty() *Content { return seal(nil) }

// New makes a content of items, which are the content's from then on. Two of one kind and name are refused.
func New(items []*heliosv1.Item) (*Content, error) {
	all := make([]item, len(items))
	for i, it := range items {
		all[i] = item{it, sha256.Sum256(it.GetPayload())}
	}
	slices.SortFunc(all, func(a, b item) int { return compare(a.Item, b.Item) })
	for i := 1; i < len(all); i++ {
		if compare(all[i-1].Item, all[i].Item) == 0 {
			return nil, fmt.Errorf("%s %q is there twice", all[i].GetKind(), all[i].GetName())
		}
	}
	return seal(all), nil
}

// named is what items and references have.
type named interface {
	GetKind() string
	GetName() string
}

func compare(a, b named) int {
	if c := cmp.Compare(a.GetKind(), b.GetKind()); c != 0 {
		return c
	}
	return cmp.Compare(a.GetName(), b.GetName())
}

// seal hashes items that are in order: kind, name and hash of payload of each, the first two with their
// lengths in front (8 bytes, big-endian).
func seal(items []item) *Content {
	c := &Content{items: items}
	h := sha256.New()
	var n []byte
	for _, it := range items {
		n = n[:0]
		for _, s := range []string{it.GetKind(), it.GetName()} {
			n = binary.BigEndian.AppendUint64(n, uint64(len(s)))
			n = append(n, s...)
		}
		h.Write(n)
		h.Write(it.sum[:])
		c.bytes += len(it.GetPayload())
	}
	c.hash = hex.EncodeToString(h.Sum(nil))
	return c
}

// Hash names the content: hexadecimal SHA-256.
func (c *Content) Hash() string { return c.hash }

// Len is the number of resources.
func (c *Content) Len() int { return len(c.items) }

// Bytes is the sum of the payloads.
func (c *Content) Bytes() int { return c.bytes }

// Items yields the resources in order.
func (c *Content) Items(yield func(*heliosv1.Item) bool) {
	for _, it := range c.items {
		if !yield(it.Item) {
			return
		}
	}
}

// Difference is what makes one content of another.
type Difference struct {
	Upserts []*heliosv1.Item
	Removes []*heliosv1.Ref
}

// Empty says that there is no difference.
func (d Difference) Empty() bool { return len(d.Upserts) == 0 && len(d.Removes) == 0 }

// To returns what makes next of c.
func (c *Content) To(next *Content) Difference {
	var d Difference
	i := 0
	for _, it := range next.items {
		for ; i < len(c.items) && compare(c.items[i].Item, it.Item) < 0; i++ {
			d.Removes = append(d.Removes, c.items[i].ref())
		}
		if i < len(c.items) && compare(c.items[i].Item, it.Item) == 0 {
			same := c.items[i].sum == it.sum
			i++
			if same {
				continue
			}
		}
		d.Upserts = append(d.Upserts, it.Item)
	}
	for ; i < len(c.items); i++ {
		d.Removes = append(d.Removes, c.items[i].ref())
	}
	return d
}

func (it item) ref() *heliosv1.Ref { return &heliosv1.Ref{Kind: it.GetKind(), Name: it.GetName()} }

// With applies a difference. Removing what is not there is refused, as is the same resource twice: the
// difference was made to another content.
func (c *Content) With(d Difference) (*Content, error) {
	changed, err := New(d.Upserts)
	if err != nil {
		return nil, err
	}
	removes := slices.Clone(d.Removes)
	slices.SortFunc(removes, func(a, b *heliosv1.Ref) int { return compare(a, b) })
	var all []item
	u, r := 0, 0
	for _, it := range c.items {
		for ; u < len(changed.items) && compare(changed.items[u].Item, it.Item) < 0; u++ {
			all = append(all, changed.items[u])
		}
		replaced := u < len(changed.items) && compare(changed.items[u].Item, it.Item) == 0
		removed := r < len(removes) && compare(removes[r], it.Item) == 0
		switch {
		case replaced && removed:
			return nil, fmt.Errorf("%s %q is both changed and removed", it.GetKind(), it.GetName())
		case replaced:
			all = append(all, changed.items[u])
			u++
		case removed:
			r++
		default:
			all = append(all, it)
		}
	}
	if r < len(removes) {
		return nil, fmt.Errorf("%s %q is removed and was not there", removes[r].GetKind(), removes[r].GetName())
	}
	return seal(append(all, changed.items[u:]...)), nil
}
