package settings

import (
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// maxCustoms bounds the parameters that are asked for by name, maxSearched the text in which names are looked for.
const (
	maxCustoms  = 64
	maxSearched = 64 << 10
)

// Touched are the parameters that a transaction may have changed, and the names that may be those of custom parameters that its
// session has set: the server lists no custom parameter that no extension has defined, so they have to be asked for by name; asking for
// one that is none does no harm.
type Touched struct {
	names   []string
	customs []string
	// Surprise says that the server has told of a new value of a parameter that nothing in the transaction is known to have set:
	// its configuration may be another one.
	Surprise bool
}

// Add notes that a parameter may have changed.
func (t *Touched) Add(name string) {
	if slices.Contains(t.names, name) {
		return
	}
	t.names = append(t.names, name)
	if name == "session_authorization" {
		t.Add("role") // which it ends
	}
	if strings.IndexByte(name, '.') > 0 {
		t.addCustom(name)
	}
}

// AddAll notes that any parameter of the set may have changed.
func (t *Touched) AddAll(s Set) {
	for n := range s.All() {
		t.Add(n)
	}
}

// Has says whether a parameter may have changed.
func (t *Touched) Has(name string) bool { return slices.Contains(t.names, name) }

// Any says whether a parameter may have changed.
func (t *Touched) Any() bool { return len(t.names) > 0 }

// Surprised says, once, whether there was a surprise.
func (t *Touched) Surprised() bool {
	was := t.Surprise
	t.Surprise = false
	return was
}

// Take returns the parameters that may have changed, and forgets them.
func (t *Touched) Take() []string {
	names := t.names
	t.names = nil
	return names
}

// Search notes the names in a text that may be those of custom parameters.
func (t *Touched) Search(text []byte) {
	if !planted.Is(planted.Custom) {
		CustomNames(text[:min(len(text), maxSearched)], func(n []byte) { t.addCustom(string(n)) })
	}
}

func (t *Touched) addCustom(name string) {
	if len(t.customs) < maxCustoms && !slices.Contains(t.customs, name) {
		t.customs = append(t.customs, name)
	}
}

// Customs returns the names that may be those of custom parameters, and those that sets name.
func (t *Touched) Customs(sets ...Set) []string {
	names := slices.Clone(t.customs)
	for _, s := range sets {
		for n := range s.All() {
			names = append(names, n)
		}
	}
	return names
}
