package catalog

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// Handle is the catalogue of one database, as it was read last. Any thread may use it.
//
// Every answer is of a view, and every view has an epoch of its own: what a verdict rests on is never newer than its epoch.
// A reading counts only if it began after the last change was over and none was under way when it ended: its snapshot has what
// every change did. What is changed elsewhere is seen when the reader looks again.
type Handle struct {
	now  atomic.Pointer[view]
	want func()      // asks for a reading; called on any thread, often, under no lock
	lost atomic.Bool // the last reading has failed

	mu       sync.Mutex
	changing int    // changes under way
	changed  uint64 // changes that are over
}

// view is what is known at a time. It is immutable.
type view struct {
	epoch uint64
	facts *Facts // nil: nothing
	// unsure says that the catalogue may not be what the facts say: everything is suspect.
	unsure bool
}

// NewHandle makes the handle of a database of which nothing is known yet. want, which may be nil, is called when it would be of
// use to read the catalogue: at the first question, and after each change. It must not wait.
func NewHandle(want func()) *Handle {
	h := &Handle{want: want}
	h.now.Store(&view{epoch: 1, unsure: true})
	return h
}

// Epoch implements [Judge].
func (h *Handle) Epoch() uint64 { return h.now.Load().epoch }

// Judge implements [Judge].
func (h *Handle) Judge(f *sqlparse.Facts) (Reach, uint64) {
	v := h.now.Load()
	if v.facts == nil {
		h.ask()
		return Suspect | byName(f), v.epoch
	}
	reach := v.facts.reach(f, nil)
	if v.unsure {
		reach |= Suspect
	}
	return reach, v.epoch
}

// Parameters implements [Judge].
func (h *Handle) Parameters() (names []string, ok bool) {
	f := h.now.Load().facts
	if f == nil {
		h.ask() // those who judge may all know their verdicts already
		return nil, false
	}
	return f.parameters, true
}

// Coming implements [Judge].
func (h *Handle) Coming() bool { return !h.lost.Load() }

// Why implements [Judge].
func (h *Handle) Why(f *sqlparse.Facts) string {
	v := h.now.Load()
	switch {
	case v.facts == nil:
		return "the catalogue has not been read"
	case v.unsure:
		return "the catalogue is being changed, or was not read again since"
	}
	return v.facts.why(f)
}

// Change implements [Judge].
func (h *Handle) Change() (done func()) {
	h.mu.Lock()
	h.changing++
	h.doubt()
	h.mu.Unlock()
	return sync.OnceFunc(func() {
		h.mu.Lock()
		h.changing--
		h.changed++
		h.mu.Unlock()
		h.ask()
	})
}

// doubt makes everything suspect.
func (h *Handle) doubt() {
	if v := h.now.Load(); !v.unsure {
		h.now.Store(&view{epoch: v.epoch + 1, facts: v.facts, unsure: true})
	}
}

func (h *Handle) ask() {
	if h.want != nil {
		h.want()
	}
}

// Mark is a moment in the history of a database's changes.
type Mark uint64

// Mark is taken before the snapshot of a reading.
func (h *Handle) Mark() Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Mark(h.changed)
}

// Publish takes what was read since m. It says whether that is how the catalogue is: where it is not, everything stays suspect
// until there is a later reading, for which want has been called or will be.
func (h *Handle) Publish(f *Facts, m Mark) bool { return h.publish(f, m) }

// Confirm is Publish for a catalogue that is found to be as it was when it was read last.
func (h *Handle) Confirm(m Mark) bool { return h.publish(nil, m) }

func (h *Handle) publish(f *Facts, m Mark) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost.Store(false)
	v := h.now.Load()
	next := view{epoch: v.epoch + 1, facts: cmp.Or(f, v.facts)}
	next.unsure = next.facts == nil || h.changing > 0 || uint64(m) != h.changed
	if next.facts != v.facts || next.unsure != v.unsure {
		h.now.Store(&next)
	}
	return !next.unsure
}

// Fail takes back what was published: the catalogue cannot be read.
func (h *Handle) Fail() {
	h.lost.Store(true)
	h.Withdraw()
}

// Withdraw takes back what was published: nobody reads the catalogue any more.
func (h *Handle) Withdraw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := h.now.Load(); v.facts != nil {
		h.now.Store(&view{epoch: v.epoch + 1, unsure: true})
	}
}

// Known says whether the catalogue has been read, and how many bytes what is kept of it takes.
func (h *Handle) Known() (bytes int, ok bool) {
	v := h.now.Load()
	if v.facts == nil {
		return 0, false
	}
	return v.facts.Bytes(), !v.unsure
}

var _ Judge = (*Handle)(nil)
