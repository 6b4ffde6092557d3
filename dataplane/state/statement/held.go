package statement

// Held is which statements a server connection holds, the least recently used first to go. It belongs
// to whoever has the connection.
type Held struct {
	limit int
	nodes map[*Statement]*node
	root  node // of a ring: root.next was used last
	// Unnamed says whose unnamed statement the connection holds: a number that is unique to one Parse; 0 is nobody's.
	Unnamed uint64
	// Stale are names of statements that are held but no longer counted: to be closed in the next unit.
	Stale []string
}

type node struct {
	st         *Statement
	prev, next *node
}

// NewHeld makes an empty Held for at most limit statements.
func NewHeld(limit int) *Held {
	h := &Held{limit: max(limit, 1), nodes: map[*Statement]*node{}}
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

// Add notes that st is held from now on, and returns the statement that has to be closed for it, or nil.
func (h *Held) Add(st *Statement) (evicted *Statement) {
	if len(h.nodes)+len(h.Stale) >= h.limit && len(h.nodes) > 0 {
		evicted = h.root.prev.st
		h.Remove(evicted)
	}
	n := &node{st: st}
	h.nodes[st] = n
	h.front(n)
	return evicted
}

// Remove notes that st is not held any more.
func (h *Held) Remove(st *Statement) {
	n := h.nodes[st]
	if n == nil {
		return
	}
	n.prev.next, n.next.prev = n.next, n.prev
	delete(h.nodes, st)
}

// Clear notes that nothing is held any more.
func (h *Held) Clear() {
	clear(h.nodes)
	h.root.prev, h.root.next = &h.root, &h.root
	h.Unnamed, h.Stale = 0, nil
}

// Len returns how many statements are held.
func (h *Held) Len() int { return len(h.nodes) + len(h.Stale) }

func (h *Held) front(n *node) {
	n.prev, n.next = &h.root, h.root.next
	n.prev.next, n.next.prev = n, n
}
