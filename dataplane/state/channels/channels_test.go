package channels

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// script plays words to a set: "+a" listens, "-a" does not, "-*" to nothing; "s:x" makes a savepoint, "r:x" releases one,
// "b:x" goes back to it; "C" commits, "R" rolls back.
func script(s *Set, words string) {
	for _, w := range strings.Fields(words) {
		name := strings.TrimLeft(w, "+-")
		if len(w) > 2 && w[1] == ':' {
			name = w[2:]
		}
		switch {
		case w == "C":
			s.Commit()
		case w == "R":
			s.Rollback()
		case w == "-*":
			s.UnlistenAll()
		case w[0] == '+':
			s.Listen(name)
		case w[0] == '-':
			s.Unlisten(name)
		case w[0] == 's':
			s.Savepoint(name)
		case w[0] == 'r':
			s.Release(name)
		case w[0] == 'b':
			s.RollbackTo(name)
		}
	}
}

// TestTransactions commits, rolls back, and goes back to savepoints.
func TestTransactions(t *testing.T) {
	for words, want := range map[string]string{
		"+a":                              "",
		"+a C":                            "a",
		"+a R C":                          "",
		"+b +a +a C":                      "a b",
		"+a C -a":                         "a",
		"+a C -a C":                       "",
		"+a C -a R C":                     "a",
		"+a +b -a C":                      "b",
		"+a -* +b C":                      "b",
		"+a C +b -* C":                    "",
		"+a s:x +b b:x C":                 "a",
		"+a s:x +b b:x +c b:x C":          "a",
		"+a s:x +b r:x C":                 "a b",
		"s:x +a s:y +b b:y C":             "a",
		"s:x +a s:x +b b:x C":             "a",
		"s:x +a s:x +b r:x b:x C":         "",
		"s:x +a s:y +b b:x C":             "",
		"s:x +a s:y +b r:x C":             "a b",
		"+a C s:x -a s:y +b b:y C":        "",
		"+a C s:x -* b:x C":               "a",
		"+a b:none r:none C":              "a",
		"s:x +a s:y +b r:y b:x +c C +d R": "c",
	} {
		var s Set
		if script(&s, words); strings.Join(s.Names(), " ") != want {
			t.Errorf("%s: %v, want %s", words, s.Names(), want)
		}
	}
}

// TestRequests asks a listener, and drops what came to nothing.
func TestRequests(t *testing.T) {
	var s Set
	if s.State("a") != Unasked || !s.Empty() {
		t.Error("something is asked of the beginning")
	}
	s.Ask("a", 1)
	s.Ask("b", 2)
	s.Ask("c", 3)
	s.Ask("d", 4)
	if !s.Answer("a", 1, true) || !s.Answer("b", 2, false) || s.Answer("c", 2, true) || s.Answer("e", 5, true) || s.Answer("a", 1, true) || !s.Answer("d", 4, true) {
		t.Error("an answer is taken for that to another request, or is not taken")
	}
	if s.State("a") != Confirmed || s.State("b") != Refused || s.State("c") != Asked || !s.Asking() || s.Empty() {
		t.Errorf("states: %v", s.asks)
	}
	script(&s, "+a C")
	if got := s.Settle(); fmt.Sprint(got) != "[d]" || s.State("a") != Confirmed || s.State("b") != Unasked || s.State("c") != Asked || s.State("d") != Unasked {
		t.Errorf("dropped %v, states: %v", got, s.asks)
	}
	if got := s.Reask(); fmt.Sprint(got) != "[a]" || s.State("a") != Unasked {
		t.Errorf("asked again: %v, states: %v", got, s.asks)
	}
}

// hear delivers everything, each notification as its payload.
func hear(s *Set) string {
	var heard []string
	for s.Waiting() {
		p, n, _ := s.Deliver(nil, 1, func(m []byte) bool { return !bytes.Contains(m, []byte("unfit")) }, func(dst []byte) []byte { return s.AppendLost(append(dst, "lost"...), "again") })
		if rest, ok := strings.CutPrefix(string(p), "lost"); ok {
			heard, p = append(heard, "lost"), []byte(rest)
		}
		for ; len(p) > 0; p = p[pgwire.HeaderSize+pgwire.Body(p):] {
			_, _, payload, _ := pgwire.ReadNotification(p[pgwire.HeaderSize : pgwire.HeaderSize+pgwire.Body(p)])
			heard = append(heard, string(payload))
		}
		if n > 1 {
			heard = append(heard, "too many at once")
		}
	}
	return strings.Join(heard, " ")
}

func notification(channel, payload string) []byte {
	return pgwire.AppendNotification(nil, 7, channel, payload)
}

// TestDeliver keeps notifications until they can be delivered, and drops those that are for nobody by then.
func TestDeliver(t *testing.T) {
	var s Set
	take := func(channel, payload string, busy bool) { s.Take(channel, notification(channel, payload), busy) }
	take("a", "before", false)
	s.Listen("a")
	take("a", "within", false)
	take("a", "statement", true)
	s.Purge()
	take("a", "commit", true)
	s.Commit()
	take("a", "after", false)
	if got := hear(&s); got != "commit after" {
		t.Errorf("heard %q", got)
	}
	take("a", "1", false)
	s.Listen("b")
	take("b", "2", true)
	s.Lose()
	s.Lose()
	take("a", "3", false)
	script(&s, "C -a C")
	if got := hear(&s); got != "2 lost again" {
		t.Errorf("heard %q", got)
	}
	script(&s, "+a C")
	take("a", "unfit", false)
	take("a", "fit", false)
	if got := hear(&s); got != "lost again again fit" {
		t.Errorf("heard %q", got)
	}
	s.Lose()
	script(&s, "-* C")
	if got := hear(&s); got != "" {
		t.Errorf("a session that listens to nothing heard %q", got)
	}
}

// TestBound keeps no more than it may, and says so where something is missing.
func TestBound(t *testing.T) {
	var s Set
	script(&s, "+a C")
	payload := strings.Repeat("x", 1000)
	kept := 0
	for range 10_000 {
		if s.Take("a", notification("a", payload), false) {
			kept++
		}
	}
	if kept < Most/2000 || s.wait.bytes > Most+perItem {
		t.Errorf("%d notifications, %d bytes are kept", kept, s.wait.bytes)
	}
	heard := strings.Fields(hear(&s))
	if len(heard) != kept+2 || heard[kept] != "lost" {
		t.Errorf("%d kept, %d heard, the last %q", kept, len(heard), heard[len(heard)-1])
	}
	if s.wait.bytes != 0 || cap(s.wait.items) != 0 {
		t.Errorf("an empty queue keeps %d bytes", s.wait.bytes)
	}
	for i := range 100_000 { // and what is read stays small
		s.Take("a", notification("a", payload), false)
		if i >= 10 {
			s.wait.pop()
		}
	}
	if cap(s.wait.items) > 100 {
		t.Errorf("a queue of ten has room for %d", cap(s.wait.items))
	}
}
