package channels

import "github.com/heliosproxy/heliosproxy/pkg/planted"

// Most is how many bytes of notifications wait for one session; what comes beyond it is lost, and the session is told.
const Most = 1 << 20

// perItem is what an item costs beside its message, in bytes.
const perItem = 64

// item is a notification, or, without a message, the place where some were lost.
type item struct {
	channel string
	message []byte
}

func (it *item) size() int { return len(it.message) + perItem }

// queue is what waits, the oldest first.
type queue struct {
	items []item
	at    int // of the oldest
	bytes int
}

func (q *queue) empty() bool { return q.at == len(q.items) }

func (q *queue) push(it item) bool {
	if q.bytes+it.size() > Most {
		if !planted.Is(planted.Overflow) {
			q.lose()
		}
		return false
	}
	q.bytes += it.size()
	q.items = append(q.items, it)
	return true
}

// lose marks the place, unless it is marked.
func (q *queue) lose() {
	if !q.empty() && q.items[len(q.items)-1].message == nil {
		return
	}
	q.bytes += perItem
	q.items = append(q.items, item{})
}

func (q *queue) pop() item {
	it := q.items[q.at]
	q.items[q.at] = item{}
	q.at++
	q.bytes -= it.size()
	if q.empty() {
		*q = queue{}
	} else if q.at > len(q.items)/2 {
		n := copy(q.items, q.items[q.at:])
		clear(q.items[n:])
		q.items, q.at = q.items[:n], 0
	}
	return it
}

// purge drops the notifications of channels for which keep is false.
func (q *queue) purge(keep func(channel string) bool) {
	kept := q.items[:0]
	q.bytes = 0
	for _, it := range q.items[q.at:] {
		if it.message == nil || keep(it.channel) {
			kept = append(kept, it)
			q.bytes += it.size()
		}
	}
	clear(q.items[len(kept):])
	q.items, q.at = kept, 0
}
