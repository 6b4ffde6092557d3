package names

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// TestNames adds, finds and removes; what was found last is never out of date.
func TestNames(t *testing.T) {
	var n Names
	st := func(body string) *statement.Statement { return &statement.Statement{Key: statement.Key{Body: body}} }
	one, two := st("one\x00"), st("three\x00")
	is := func(what, name string, want *statement.Statement, told bool) {
		t.Helper()
		if got := n.Find([]byte(name)); got != want || n.FoundTold() != told || n.Told(name) != told {
			t.Errorf("%s: %s is %v, told %v %v", what, name, got, n.FoundTold(), n.Told(name))
		}
	}
	is("nothing", "a", nil, false)
	n.Add("a", one)
	n.Add("b", two)
	is("two", "a", one, false)
	is("two", "b", two, false)
	if n.Bytes != 10 || n.Of(two) != "b" || n.Of(st("")) != "" {
		t.Errorf("%d bytes, %q", n.Bytes, n.Of(two))
	}
	n.Tell("b")
	is("told", "b", two, true)
	is("told", "a", one, false)
	n.Replace("b", one)
	is("replaced", "b", one, true)
	if n.Untell("b"); n.FoundTold() {
		t.Error("what was found last is told, though it is not any more")
	}
	is("told nothing", "b", one, false)
	n.Replace("b", two)
	n.Tell("a")
	n.Tell("b")
	if n.Remove("a") != one || n.Remove("a") != nil || n.Bytes != 6 {
		t.Errorf("removed: %d bytes", n.Bytes)
	}
	is("removed", "a", nil, false)
	n.Add("a", two)
	n.Borrow("a")
	if n.Borrowed([]byte("b")) || !n.Borrowed([]byte("a")) || n.Borrowed([]byte("a")) {
		t.Error("borrowed, once, is what was said to be")
	}
	n.Borrow("a")
	n.Remove("a")
	if n.Add("a", two); n.Borrowed([]byte("a")) {
		t.Error("another under its name is not borrowed")
	}
	is("another under its name", "a", two, false)
	n.Clear(false)
	n.Add("b", one)
	is("cleared", "b", one, false)
	n.Tell("b")
	n.UntellAll()
	is("all told nothing", "b", one, false)

	one.Name = "helios_1"
	words := []byte(`prepared statement "helios_1" does not exist`)
	n.Clear(true)
	is("cleared with messages under way", "b", nil, false)
	if got := string(n.Rename(words)); got != `prepared statement "b" does not exist` {
		t.Errorf("with messages under way: %s", got)
	}
	for range 20 { // a map has no order
		n.Add("a", one)
		n.Add("b", one)
		n.Add("c", one)
		n.Find([]byte("b"))
		if got := string(n.Rename(words)); got != `prepared statement "b" does not exist` {
			t.Fatalf("of three names the one that was used last: %s", got)
		}
	}
	n.Clear(false)
	if got := string(n.Rename(words)); got != string(words) {
		t.Errorf("with nothing under way: %s", got)
	}
}

// TestRenameMarked tells two names for one statement apart, also when another one was looked for since.
func TestRenameMarked(t *testing.T) {
	var n Names
	st, other := &statement.Statement{Name: "h_1"}, &statement.Statement{Name: "h_2"}
	for _, name := range []string{"a", "b", "c"} {
		n.Add(name, st)
	}
	n.Add("d", other)
	words := []byte(`prepared statement "h_1" requires 0`)
	for _, name := range []string{"a", "b", "c"} {
		n.Find([]byte(name))
		mark := n.Mark()
		n.Find([]byte("d"))
		if got, want := string(n.RenameMarked(words, st, mark)), `prepared statement "`+name+`" requires 0`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := string(n.RenameMarked(words, other, mark)); got != string(words) {
			t.Errorf("of another statement: %s", got)
		}
	}
}
