package catalog

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// table holds values by name: many names in one piece of memory, as a database may have 100,000 of them. An entry costs the
// bytes of its name and schema, five more, and its value: 100,000 tables with a sequence each take 7 MB.
type table[V comparable] struct {
	text   string   // NAME 0 SCHEMA, one behind the other, sorted
	at     []uint32 // where each begins, and where the last one ends
	values []V
}

// entry is what a table is made of.
type entry[V comparable] struct {
	name  sqlparse.Name
	value V
}

// newTable sorts the entries. A name may have several.
func newTable[V comparable](entries []entry[V]) table[V] {
	slices.SortFunc(entries, func(a, b entry[V]) int {
		return cmp.Or(strings.Compare(a.name.Name, b.name.Name), strings.Compare(a.name.Schema, b.name.Schema))
	})
	entries = slices.Compact(entries)
	size := 0
	for _, e := range entries {
		size += len(e.name.Name) + 1 + len(e.name.Schema)
	}
	var text strings.Builder
	text.Grow(size)
	t := table[V]{at: make([]uint32, 0, len(entries)+1), values: make([]V, 0, len(entries))}
	for _, e := range entries {
		t.at = append(t.at, uint32(text.Len()))
		t.values = append(t.values, e.value)
		text.WriteString(e.name.Name)
		text.WriteByte(0)
		text.WriteString(e.name.Schema)
	}
	t.at = append(t.at, uint32(text.Len()))
	t.text = text.String()
	return t
}

func (t *table[V]) name(i int) (n sqlparse.Name) {
	n.Name, n.Schema, _ = strings.Cut(t.text[t.at[i]:t.at[i+1]], "\x00")
	return n
}

// find yields the values of all that n may mean: as the search_path is not followed, without a schema that is what any schema
// has. It says whether there is one.
func (t *table[V]) find(n sqlparse.Name, yield func(sqlparse.Name, V)) (known bool) {
	for i := sort.Search(len(t.values), func(i int) bool { return t.name(i).Name >= n.Name }); i < len(t.values); i++ {
		has := t.name(i)
		if has.Name != n.Name {
			break
		}
		if n.Schema == "" || n.Schema == has.Schema {
			known = true
			yield(has, t.values[i])
		}
	}
	return known
}

// bytes is what the table holds.
func (t *table[V]) bytes(value int) int { return len(t.text) + 4*len(t.at) + value*len(t.values) }
