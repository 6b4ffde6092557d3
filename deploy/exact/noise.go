package exact

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// noise is another session of the same pool. It takes server connections away between the turns of the session
// that is looked at, leaves on them what that has to find undone, and looks itself whether it sees anything of
// the other one.
type noise struct {
	c     *client
	wait  time.Duration
	spare bool // there are more server connections than the two sessions need
	busy  bool // it has a transaction open
	owed  bool // an answer has not come: the other session keeps the only server connection
	want  string
}

// blink is how long the noise waits for a server connection before it lets the other session go on.
const blink = 5 * time.Millisecond

// noiseSQL is what another session would see of a leak.
const noiseSQL = `SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('search_path'), current_setting('work_mem'), current_user,` +
	` current_setting('my.own', true), current_setting('statement_timeout')`

func newNoise(h *Harness, t Target) (*noise, error) {
	c, err := h.dial(t.Addr, t.Database)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	n := &noise{c: c, wait: h.Wait, spare: t.Servers > 1}
	for _, sql := range []string{"SET TimeZone = 'Asia/Kathmandu'", "SET my.own = 'noise'"} {
		if _, err := c.ask(sql); err != nil {
			return nil, fmt.Errorf("noise: %w", err)
		}
	}
	answers, err := c.ask(noiseSQL)
	n.want = rows(answers)
	return n, err
}

// make makes some noise, or none. It returns what it sees and should not.
func (n *noise) make(r *rand.Rand) string {
	if n.owed {
		if words := n.collect(blink); words != "" || n.owed {
			return words
		}
	}
	switch r.IntN(8) {
	case 0:
		return n.ask(pgscript.Query(noiseSQL))
	case 1:
		return n.ask(pgscript.Parse("", "SELECT 'noise'"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Sync())
	case 2:
		return n.ask(pgscript.CloseStatement("a"), pgscript.Parse("a", "SELECT 'noise', 7"), pgscript.Bind("", "a"), pgscript.Execute("", 0), pgscript.Sync())
	case 3, 4:
		if n.spare {
			n.busy = !n.busy
			return n.ask(pgscript.Query(map[bool]string{true: "BEGIN", false: "COMMIT"}[n.busy]))
		}
	}
	return ""
}

func (n *noise) ask(msgs ...[]byte) string {
	n.owed = true
	_ = n.c.Send(msgs...)
	return n.collect(blink)
}

// collect reads an answer that is owed, if it comes in time.
func (n *noise) collect(wait time.Duration) string {
	if n.c.silent(wait) {
		return ""
	}
	answers, err := n.c.untilReady()
	if err != nil {
		return err.Error()
	}
	n.owed = false
	if answers[0].Type == 'E' {
		return answers[0].Backend()
	}
	if got := rows(answers); strings.Count(got, "|") == strings.Count(n.want, "|") && got != n.want {
		return fmt.Sprintf("%s instead of %s", got, n.want)
	}
	return ""
}

// end ends what is open, when the other session has come to its end. It returns what it gets and should not.
func (n *noise) end() string {
	if n == nil {
		return ""
	}
	if n.owed {
		if words := n.collect(n.wait); words != "" || n.owed {
			return cmp.Or(words, "nothing")
		}
	}
	if !n.busy {
		return ""
	}
	n.busy = false
	if answers, err := n.c.ask("ROLLBACK"); err != nil || answers[0].Type != 'C' {
		return fmt.Sprint(pgscript.Lines(answers), err)
	}
	return ""
}

// rows renders the rows of answers.
func rows(answers []pgscript.Message) string {
	var lines []string
	for _, m := range answers {
		if m.Type == 'D' || m.Type == 'E' {
			lines = append(lines, m.Backend())
		}
	}
	return strings.Join(lines, "; ")
}
