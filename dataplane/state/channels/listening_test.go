package channels

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// rig is a session and its listener; both note what they are told.
type rig struct {
	*Listening
	said     []string
	serial   uint64
	busy     bool
	encoding string
}

func (r *rig) Join(*Listening) Listener { r.said = append(r.said, "join"); return listener{r} }
func (r *rig) Busy() bool               { return r.busy }
func (r *rig) Encoding() string         { return r.encoding }
func (r *rig) Wake()                    { r.said = append(r.said, "wake") }
func (r *rig) Tell()                    { r.said = append(r.said, "tell") }

type listener struct{ *rig }

func (l listener) Listen(name string) uint64 {
	l.serial++
	l.said = append(l.said, fmt.Sprint("listen ", name, " ", l.serial))
	return l.serial
}

func (l listener) Catch() uint64 {
	l.serial++
	l.said = append(l.said, fmt.Sprint("catch ", l.serial))
	return l.serial
}

func (l listener) Keep(names ...string) { l.said = append(l.said, "keep "+strings.Join(names, " ")) }
func (l listener) Unlisten(name string) { l.said = append(l.said, "unlisten "+name) }
func (l listener) Leave()               { l.said = append(l.said, "leave") }

// told compares what was said since the last call.
func (r *rig) told(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(r.said, ", "); got != want {
		t.Errorf("said: %s, want %s", got, want)
	}
	r.said = nil
}

func newRig() *rig {
	r := &rig{}
	r.Listening = Begin(r)
	return r
}

// listens are the effects of LISTEN.
func listens(names ...string) *statement.Effects {
	fx := &statement.Effects{}
	for _, n := range names {
		fx.Steps = append(fx.Steps, statement.Step{Do: statement.Listen, Name: n})
	}
	return fx
}

// TestAwait asks the listener before anything is sent.
func TestAwait(t *testing.T) {
	r := newRig()
	fx := listens("a")
	if got := r.Await(fx); got != Asked {
		t.Errorf("before the answer it is %d", got)
	}
	r.Await(fx)
	r.told(t, "join, listen a 1")
	r.Answered("a", 2, "UTF8", nil)
	r.told(t, "")
	r.Answered("a", 1, "UTF8", nil)
	r.told(t, "wake")
	if got := r.Await(fx); got != Confirmed {
		t.Errorf("after the answer it is %d", got)
	}
	for encoding, want := range map[string]State{"": Confirmed, "utf-8": Confirmed, "Unicode": Confirmed, "LATIN1": Refused} {
		r.encoding = encoding
		if got := r.Await(fx); got != want {
			t.Errorf("in %q it is %d, want %d", encoding, got, want)
		}
	}
	r.encoding = ""
	if r.Ready('I', true) {
		t.Error("a session that listens to nothing goes on")
	}
	r.told(t, "unlisten a, leave")

	r = newRig()
	r.Await(listens("b"))
	r.Answered("b", 1, "", errors.New("no"))
	if got := r.Await(listens("b")); got != Refused {
		t.Errorf("after a refusal it is %d", got)
	}
	if got := r.Await(listens("c", "b")); got != Refused {
		t.Errorf("one of two refused: it is %d", got)
	}
	if !r.Ready('I', true) {
		t.Error("a session that waits for an answer does not go on")
	}
	r.told(t, "join, listen b 1, wake, listen c 2")
	if got := r.Await(listens("b")); got != Asked {
		t.Error("what was refused is not asked again in the next transaction")
	}
	r.told(t, "listen b 3")
}

// TestOutcome tells a transaction that commits from one that does not by what the server says.
func TestOutcome(t *testing.T) {
	for _, c := range []struct{ says, want string }{
		{"LISTEN I", "a"},                     // alone
		{"LISTEN error I", ""},                // with something behind it that fails, in one text or unit
		{"error I LISTEN I", "a"},             // behind a failure
		{"T LISTEN T COMMIT I", "a"},          // in a transaction
		{"T LISTEN T ROLLBACK I", ""},         //
		{"T LISTEN T error E ROLLBACK I", ""}, // COMMIT says so too then
		{"T LISTEN T error I", ""},            // COMMIT fails
		{"T LISTEN COMMIT T ROLLBACK I", "a"}, // COMMIT AND CHAIN
		{"T LISTEN ROLLBACK T COMMIT I", ""},  // ROLLBACK AND CHAIN
		{"LISTEN COMMIT error I", "a"},        // COMMIT in a pipeline
		{"T savepoint T LISTEN T to T COMMIT I", ""},
		{"T LISTEN T savepoint T error E to T COMMIT I", "a"},
		{"T savepoint T LISTEN T release T COMMIT I", "a"},
		{"LISTEN I UNLISTEN I", ""},
		{"LISTEN I T UNLISTEN T ROLLBACK I", "a"},
		{"LISTEN I DISCARD I", ""},
	} {
		r := newRig()
		r.Await(listens("a", "kept"))
		r.Answered("a", 1, "UTF8", nil)
		r.Answered("kept", 2, "UTF8", nil)
		for _, w := range strings.Fields(c.says) {
			switch w {
			case "I", "T", "E":
				r.Ready(w[0], true)
			case "LISTEN":
				r.Do(statement.Listen, "a")
			case "UNLISTEN":
				r.Do(statement.Unlisten, "a")
			case "DISCARD":
				r.Do(statement.DiscardAll, "")
			case "savepoint":
				r.Do(statement.Savepoint, "s")
			case "release":
				r.Do(statement.Release, "s")
			case "to":
				to := &statement.Effects{Steps: []statement.Step{{Ordinal: 1, Do: statement.RollbackTo, Name: "s"}}}
				r.Complete([]byte("ROLLBACK\x00"), to, 1)
				r.Do(statement.RollbackTo, "s")
			case "error":
				r.Fail()
			default:
				r.Complete([]byte(w+"\x00"), &statement.Effects{Steps: []statement.Step{{Ordinal: 1, Do: statement.RollbackTo}}}, 0)
			}
		}
		if got := strings.Join(r.Names(), " "); got != c.want {
			t.Errorf("%s: listens to %q, want %q", c.says, got, c.want)
		}
	}
}

// TestNotified takes what the listener brings.
func TestNotified(t *testing.T) {
	r := newRig()
	r.Await(listens("a"))
	r.Answered("a", 1, "UTF8", nil)
	r.Do(statement.Listen, "a")
	r.Ready('I', true)
	r.told(t, "join, listen a 1, wake")
	r.Notified("a", notification("a", "é"))
	r.told(t, "wake")
	r.encoding = "LATIN1"
	r.Notified("a", notification("a", "è"))
	r.Notified("a", notification("a", "e"))
	out, n := r.Deliver(nil, 1<<20, func(dst []byte) []byte { return append(dst, "lost"...) })
	if want := "lost" + string(notification("a", "e")); string(out) != want || n != 1 || r.Dropped != 2 {
		t.Errorf("heard %q, %d were dropped", out, r.Dropped)
	}
	r.said = nil
	r.Lost()
	r.told(t, "wake")
	if !r.Twice(notification("a", "x")[5:]) || r.Twice(notification("b", "x")[5:]) || r.Twice([]byte("?")) {
		t.Error("what comes twice is not told from what comes once")
	}
	ear := Ear{Hears: r.Listening}
	both := append(notification("a", "x"), notification("b", "y")...)
	if got := ear.Once(both); string(got) != string(notification("b", "y")) {
		t.Errorf("what is left of both is %q", got)
	}
	r.Move()
	r.told(t, "leave, join, keep a")
	if r.Await(listens("a")) == Asked || !r.At(func(l Listener) bool { return l != nil }) {
		t.Error("the new listener is asked again")
	}
	r.Leave()
	r.told(t, "leave")
}

// TestCatch has a session that ends that it listens to something wait, once, for what was sent before.
func TestCatch(t *testing.T) {
	r := newRig()
	ear := Ear{Owner: r, Shares: true, Hears: r.Listening}
	ends := &statement.Effects{Steps: []statement.Step{{Do: statement.UnlistenAll}}}
	if got := ear.Await(ends, true); got != Confirmed || ear.Waits {
		t.Errorf("a session that listens to nothing: %v", got)
	}
	r.told(t, "join")
	script(&r.Set, "+a C")
	if got := ear.Await(ends, false); got != Confirmed || ear.Waits {
		t.Errorf("in a transaction: %v", got)
	}
	for range 2 {
		if got := ear.Await(ends, true); got != Asked || !ear.Waits || ear.Resume() {
			t.Errorf("asked: %v, it waits: %v", got, ear.Waits)
		}
	}
	r.told(t, "catch 1")
	r.Answered("", 1, "UTF8", errors.New("the connection is lost"))
	if !ear.Resume() || ear.Resume() {
		t.Error("the session does not go on, once")
	}
	r.told(t, "wake, tell")
	if got := ear.Await(ends, true); got != Confirmed || ear.Waits {
		t.Errorf("after the answer: %v", got)
	}
	if ear.Await(ends, true); !ear.Waits {
		t.Error("the next one does not wait")
	}
	r.told(t, "catch 2")
}
