package statement

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
}

// Somebodys is Held.Unnamed of a connection that may have anybody's unnamed statement.
const Somebodys = ^uint64(0)

type node struct {
	st         *Statement
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
	n := h.nodes[st]
	if n == nil {
		return false
	}
	if h.root.next != n {
		n.prev.next, n.next.prev = n.next, n.prev
		h.front(n)
	}
	return true
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

// Clear notes that nothing is held any more.
func (h *Held) Clear() {
	clear(h.nodes)
	h.root.prev, h.root.next = &h.root, &h.root
	h.Unnamed, h.Stale, h.bytes = 0, nil, 0
}

// Len returns how many statements are held.
func (h *Held) Len() int { return len(h.nodes) + len(h.Stale) }

func (h *Held) front(n *node) {
	n.prev, n.next = &h.root, h.root.next
	n.prev.next, n.next.prev = n, n
}
