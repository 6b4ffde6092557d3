package facts

import (
	"encoding/binary"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

const (
	// longestShape is the length of the longest shape that is looked up. A longer text is read anew each time, and not by
	// the grammar.
	longestShape = sqlparse.MaxText
	// longestAtOnce is the length of the longest shape that the grammar reads while the loop waits: for one or two milliseconds,
	// once.
	longestAtOnce = 2 << 10
	// busiest is how many shapes goroutines read at a time for one loop.
	busiest = 2
	// repeats is how many shapes are found by a text that is one.
	repeats = 256
)

// Cache finds the shapes of texts. It is for one loop, and bounded in bytes.
type Cache struct {
	// Spawn runs a function on a goroutine, and Post runs one in the loop. Where they are nil, everything is read while
	// the loop waits. They are set before the cache is used.
	Spawn, Post func(func())

	limit, bytes int
	shapes       map[string]*Shape
	ring         []*Shape // of shapes, in no order
	hand         int
	busy         int // goroutines
	repeated     [repeats]*Shape

	scratch []byte
	unknown Shape // of texts that have no shape
}

// NewCache makes a cache that holds at most so many bytes. It wakes the grammar: where that is WebAssembly, the first in a
// process takes a second.
func NewCache(limit int) *Cache {
	_, _ = sqlparse.Parse("")
	return &Cache{limit: limit, shapes: map[string]*Shape{}, scratch: make([]byte, 0, longestShape), unknown: Shape{read: done}}
}

// Of returns what is known of a text. A text whose shape is not known is looked into, which takes microseconds.
func (c *Cache) Of(text []byte, stdStrings bool) Text {
	slot := slotOf(text)
	if s := c.repeated[slot]; s != nil && s.key == string(text) {
		s.used = true
		return Text{s.summary, s}
	}
	key, found, ok := sqltext.Shape(c.scratch, text, stdStrings)
	if !ok {
		return Text{sqltext.Classify(text, stdStrings), &c.unknown}
	}
	s := c.shapes[string(key)]
	if s == nil {
		s = c.learn(string(key))
	} else {
		c.again(s, slot, text)
	}
	t := Text{s.summary, s}
	t.Flags |= found
	return t
}

// again notes that a shape that is kept was found by a text.
func (c *Cache) again(s *Shape, slot uint, text []byte) {
	s.used = true
	switch {
	case s.read == unread:
		c.read(s)
	case s.read == done && s.key == string(text):
		c.repeated[slot] = s
	}
}

// slotOf is where a text is among the repeated ones: by its length, its last bytes and some from its middle.
func slotOf[T []byte | string](text T) uint {
	n := len(text)
	if n < 16 {
		return uint(n)
	}
	h := binary.LittleEndian.Uint64([]byte(text[n-8:])) ^ binary.LittleEndian.Uint64([]byte(text[n/2:]))<<1 ^ uint64(n)
	return uint(h * 0x9E3779B97F4A7C15 >> 56)
}

// learn looks into a shape and keeps it.
func (c *Cache) learn(key string) *Shape {
	s := &Shape{key: key, summary: sqltext.Classify([]byte(key), true)}
	s.summary.Flags &^= sqltext.FlagTimeWords
	c.read(s)
	c.add(s)
	return s
}

// read lets the grammar read a shape. What it cannot parse is not known.
func (c *Cache) read(s *Shape) {
	switch {
	case c.Spawn == nil || len(s.key) <= longestAtOnce:
		f, _ := sqlparse.Parse(s.key)
		s.learnt(f)
	case c.busy < busiest:
		s.learnt(nil)
		s.read = reads
		c.busy++
		c.Spawn(func() {
			f, _ := sqlparse.Parse(s.key)
			c.Post(func() { c.take(s, f) })
		})
	default:
		s.learnt(nil)
		s.read = unread
	}
}

// take takes what a goroutine has read of a shape, which may have been dropped since.
func (c *Cache) take(s *Shape, f *sqlparse.Facts) {
	c.busy--
	if c.shapes[s.key] != s {
		s.learnt(f)
		return
	}
	c.bytes -= s.bytes
	s.learnt(f)
	c.bytes += s.bytes
	c.shrink(0)
}

// add keeps a shape, unless it would push out most others.
func (c *Cache) add(s *Shape) {
	if s.bytes > c.limit/4 {
		return
	}
	c.shrink(s.bytes)
	c.bytes += s.bytes
	c.shapes[s.key] = s
	c.ring = append(c.ring, s)
}

// shrink makes room for so many bytes: it drops shapes that were not used since the hand came by last.
func (c *Cache) shrink(room int) {
	for c.bytes+room > c.limit && len(c.ring) > 0 {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		s := c.ring[c.hand]
		if s.used {
			s.used = false
			c.hand++
			continue
		}
		c.bytes -= s.bytes
		delete(c.shapes, s.key)
		if slot := slotOf(s.key); c.repeated[slot] == s {
			c.repeated[slot] = nil
		}
		last := len(c.ring) - 1
		c.ring[c.hand], c.ring[last] = c.ring[last], nil
		c.ring = c.ring[:last]
	}
}
