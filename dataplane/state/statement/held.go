package statement

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// Held is which statements a server connection holds, the least recently used first to go. It belongs
// to whoever has the connection.
type Held struct {
	limit int // of statements
	room  int // of bytes of their text
	bytes int
	nodes map[*Statement]*node
	root  node // of a ring: root.next was used last
	// Unnamed says whose unnamed statement the connection holds: a number that is unique to one Parse; 0 is nobody's.
	Unnamed uint64
	// Stale are names of statements that are held but no longer counted: to be closed in the next unit.
	Stale []string
	// Looks says that the connection has the proxy's own statement that looks it through. It is not counted.
	Looks bool
}

// Somebodys is Held.Unnamed of a connection that may have anybody's unnamed statement.
const Somebodys = ^uint64(0)

type node struct {
	st         *Statement
	shape      uint64 // of its result here, 0 while nobody has looked
	typed      bool   // its parameters have the types here that it is known to have
	prev, next *node
}

// NewHeld makes an empty Held for at most limit statements, with room for the given bytes of text. One
// statement is held whatever its size.
func NewHeld(limit, room int) *Held {
	h := &Held{limit: max(limit, 1), room: room, nodes: map[*Statement]*node{}}
	h.root.prev, h.root.next = &h.root, &h.root
	return h
}

// Has says whether st is held, and counts as a use of it.
func (h *Held) Has(st *Statement) bool {
	n := h.find(st)
	if n == nil {
		return planted.Is(planted.Held)
	}
	if h.root.next != n {
		n.prev.next, n.next.prev = n.next, n.prev
		h.front(n)
	}
	return true
}

// Shape is the shape of the statement's result on the connection; 0 where it is not held, or nobody has looked.
func (h *Held) Shape(st *Statement) uint64 {
	if n := h.find(st); n != nil {
		return n.shape
	}
	return 0
}

// find returns the node of st, nil where it is not held. Mostly it is the one that was used last.
func (h *Held) find(st *Statement) *node {
	if n := h.root.next; n.st == st {
		return n
	}
	return h.nodes[st]
}

// SetShape notes the shape of a statement that is held.
func (h *Held) SetShape(st *Statement, shape uint64) {
	if n := h.find(st); n != nil {
		n.shape = shape
	}
}

// Typed says whether the parameters of a statement have the types on the connection that it is known to have; SetTyped notes that.
func (h *Held) Typed(st *Statement) bool {
	n := h.find(st)
	return n != nil && n.typed
}

// SetTyped notes that of a statement that is held.
func (h *Held) SetTyped(st *Statement) {
	if n := h.find(st); n != nil {
		n.typed = true
	}
}

// Evict takes out the statement that has to be closed so that st can be held, nil where there is room.
func (h *Held) Evict(st *Statement) *Statement {
	if len(h.nodes) == 0 || h.Len() < h.limit && h.bytes+len(st.Body) <= h.room {
		return nil
	}
	out := h.root.prev.st
	h.Remove(out)
	return out
}

// Add notes that st, which was not held, is held from now on.
func (h *Held) Add(st *Statement) {
	n := &node{st: st}
	h.nodes[st] = n
	h.bytes += len(st.Body)
	h.front(n)
}

// Remove notes that st is not held any more.
func (h *Held) Remove(st *Statement) {
	n := h.nodes[st]
	if n == nil {
		return
	}
	n.prev.next, n.next.prev = n.next, n.prev
	h.bytes -= len(st.Body)
	delete(h.nodes, st)
}

// Forget makes a statement that is held one that is to be closed. It says whether it was held.
func (h *Held) Forget(st *Statement) bool {
	if h.find(st) == nil {
		return false
	}
	h.Remove(st)
	h.Stale = append(h.Stale, st.Name)
	return true
}

// Retain notes that nothing is held any more whose name is not among names. It takes those that are from names: what is left
// there is held by somebody else.
func (h *Held) Retain(names map[string]bool) {
	had := func(name string) bool {
		_, ok := names[name]
		delete(names, name)
		return ok
	}
	for st := range h.nodes {
		if !had(st.Name) {
			h.Remove(st)
		}
	}
	h.Stale = slices.DeleteFunc(h.Stale, func(n string) bool { return !had(n) })
}

// DropNamed notes that no statement is held any more but the unnamed one, and those that were parsed later.
func (h *Held) DropNamed(later []*Statement) {
	unnamed := h.Unnamed
	h.Clear()
	h.Unnamed = unnamed
	for _, st := range later {
		if h.find(st) == nil {
			h.Add(st)
		}
	}
}

// Clear notes that nothing is held any more.
func (h *Held) Clear() {
	clear(h.nodes)
	h.root.prev, h.root.next = &h.root, &h.root
	h.Unnamed, h.Stale, h.bytes, h.Looks = 0, nil, 0, false
}

// Names returns what the statements are called that are held, in no order, but for some.
func (h *Held) Names(but map[string]bool) []string {
	names := slices.DeleteFunc(slices.Clone(h.Stale), func(n string) bool { return but[n] })
	for st := range h.nodes {
		if !but[st.Name] {
			names = append(names, st.Name)
		}
	}
	return names
}

// Len returns how many statements are held.
func (h *Held) Len() int { return len(h.nodes) + len(h.Stale) }

func (h *Held) front(n *node) {
	n.prev, n.next = &h.root, h.root.next
	n.prev.next, n.next.prev = n, n
}
