package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// desk is where a rig's session listens: it notes what it is asked for.
type desk struct {
	r      *rig
	at     *channels.Listening
	serial uint64
	asked  []string
}

func (d *desk) Join(l *channels.Listening) channels.Listener { d.at = l; return d }
func (d *desk) Busy() bool                                   { return !d.r.Quiet() }
func (d *desk) Encoding() string                             { return "" }
func (d *desk) Wake()                                        {}
func (d *desk) Tell()                                        { d.asked = append(d.asked, "tell") }
func (d *desk) Catch() uint64                                { d.asked = append(d.asked, "+"); d.serial++; return d.serial }
func (d *desk) Keep(...string)                               {}
func (d *desk) Leave()                                       { d.asked = append(d.asked, "leave") }
func (d *desk) Unlisten(name string)                         { d.asked = append(d.asked, "-"+name) }

func (d *desk) Listen(name string) uint64 {
	d.serial++
	d.asked = append(d.asked, "+"+name)
	return d.serial
}

// answer answers the last request, and lets the session go on: it returns what the server gets then.
func (d *desk) answer(t *testing.T, err error) string {
	t.Helper()
	name := strings.TrimPrefix(d.asked[len(d.asked)-1], "+")
	if d.r.Resume() {
		t.Error("the session goes on before there is an answer")
	}
	d.at.Answered(name, d.serial, "UTF8", err)
	if !d.r.Resume() || d.r.Resume() {
		t.Error("the session does not go on, once")
	}
	return d.r.client(t)
}

func newDesk() *desk {
	d := &desk{r: newRig()}
	d.r.Ear.Shares, d.r.Ear.Owner = true, d
	return d
}

// nobody is what is sent in place of LISTEN a.
const nobody = `UNLISTEN "helios: nobody" /* LISTEN 61 */`

var (
	unlisten = pgscript.CommandComplete("UNLISTEN")
	news     = pgscript.NotificationResponse(7, "a", "x")
)

// TestListen keeps LISTEN back until it is listened, and sends something else.
func TestListen(t *testing.T) {
	d := newDesk()
	r := d.r
	check2(t, "LISTEN", r.client(t, pgscript.Query("SELECT 1"), pgscript.Query("LISTEN a"), pgscript.Query("SELECT 2")), "Q SELECT 1")
	if r.Quiet() || r.Room() {
		t.Error("a session that waits is at rest, or reads on")
	}
	check2(t, "what is before it", r.server(t, one, readyI), "C SELECT 1; Z I")
	check2(t, "it is listened", d.answer(t, nil), "Q "+nobody+"; Q SELECT 2")
	check2(t, "answered", r.server(t, unlisten, readyI, one, readyI), "C LISTEN; Z I; C SELECT 1; Z I")
	if r.Reasons.All() != 0 || !r.Free() || r.Doubtful() {
		t.Errorf("it keeps its server connection for %s, doubt %v", r.Reasons.All(), r.Doubtful())
	}
	d.at.Notified("a", news)
	if !r.News() {
		t.Error("a notification is no news")
	}
	r.client(t, pgscript.Query("BEGIN"))
	r.server(t, pgscript.CommandComplete("BEGIN"), readyT)
	if r.News() {
		t.Error("it is told within a transaction")
	}
	check2(t, "again", r.client(t, pgscript.Query("LISTEN a"), pgscript.Query("COMMIT")), "Q "+nobody+"; Q COMMIT")
	r.server(t, unlisten, readyT, pgscript.CommandComplete("COMMIT"), readyI)
	check2(t, "UNLISTEN", r.client(t, pgscript.Query("UNLISTEN a")), "")
	check2(t, "what was sent before is there", d.answer(t, nil), "Q UNLISTEN a")
	check2(t, "UNLISTEN is done", r.server(t, unlisten, readyI), "C UNLISTEN; Z I")
	if got := strings.Join(d.asked, " "); got != "+a + tell -a leave" { // though a notification has waited
		t.Errorf("asked of the listener: %s", got)
	}
	if out, n := d.at.Deliver(nil, 1, nil); len(out) > 0 || n > 0 {
		t.Errorf("after UNLISTEN %q is delivered", out)
	}
}

// TestListenRefused lets the server connection listen where the listener does not.
func TestListenRefused(t *testing.T) {
	d := newDesk()
	check2(t, "LISTEN", d.r.client(t, pgscript.Query("LISTEN a")), "")
	check2(t, "no", d.answer(t, errors.New("no")), "Q LISTEN a")
	check2(t, "answered", d.r.server(t, pgscript.CommandComplete("LISTEN"), readyI), "C LISTEN; Z I")
	if !d.r.Doubtful() {
		t.Error("it is not asked whether the server connection listens")
	}
	d.r.Looked(d.r.Want, pin.Listen, nil)
	check2(t, "LISTEN of a session that listens there", d.r.client(t, pgscript.Query("LISTEN b")), "Q LISTEN b")
	if got := fmt.Sprint(d.asked); got != "[+a leave]" {
		t.Errorf("asked of the listener: %s", got)
	}
}

// TestListenPrepared waits at Bind, and refuses there what the listener refuses.
func TestListenPrepared(t *testing.T) {
	d := newDesk()
	r := d.r
	run := []([]byte){pgscript.Bind("", "l"), pgscript.Execute("", 0), sync0}
	check2(t, "Parse", r.client(t, pgscript.Parse("l", "LISTEN a"), sync0), "")
	check2(t, "Parse goes on", d.answer(t, nil), `P h_1 "`+strings.ReplaceAll(nobody, `"`, `\"`)+`"; S`)
	r.server(t, done1, readyI)
	check2(t, "Bind", r.client(t, run...), "")
	check2(t, "Bind goes on", d.answer(t, nil), "B  h_1; E  0; S")
	check2(t, "answered", r.server(t, done2, unlisten, readyI), "2; C LISTEN; Z I")
	r.client(t, pgscript.Query("UNLISTEN *"))
	check2(t, "UNLISTEN goes on", d.answer(t, errors.New("lost")), "Q UNLISTEN *")
	r.server(t, unlisten, readyI)
	check2(t, "Bind", r.client(t, run...), "")
	check2(t, "Bind is refused", d.answer(t, errors.New("no")), "D S h_refused; E  0; S")
	check2(t, "answered", r.server(t, pgscript.ErrorResponse("ERROR", "26000", "no"), readyI),
		"E 08001 LISTEN is not possible now: the connection that listens for all sessions is not there; Z I")
	check2(t, "another of the name", r.client(t, pgscript.Parse("m", "LISTEN b")), "")
	check2(t, "is another statement", d.answer(t, nil), `P h_2 "UNLISTEN \"helios: nobody\" /* LISTEN 62 */"`)
}

// TestListenHere has the server connection listen before it is asked what it listens to, and tells nothing twice.
func TestListenHere(t *testing.T) {
	const channels = "SELECT pg_listening_channels()"
	d := newDesk()
	r := d.r
	check2(t, "of a session that does not listen", r.client(t, pgscript.Query(channels)), "Q "+channels)
	r.server(t, one, readyI)
	r.client(t, pgscript.Query("LISTEN a"))
	d.answer(t, nil)
	check2(t, "of a session that has things under way", r.client(t, pgscript.Query(channels)), "Q "+channels) // it does not listen yet
	r.server(t, unlisten, readyI, one, readyI)
	check2(t, "a notification of the server connection's", r.server(t, news), "")
	check2(t, "of a session that listens", r.client(t, pgscript.Query(channels)),
		`P h_listen "LISTEN \"a\""; B h_listen h_listen; E h_listen 0; C P h_listen; C S h_listen; S; Q `+channels)
	check2(t, "answered", r.server(t, done1, done2, pgscript.CommandComplete("LISTEN"), closed, closed, readyI, one, readyI), "C SELECT 1; Z I")
	if r.Reasons.All() != pin.Listen {
		t.Errorf("it keeps its server connection for %s", r.Reasons.All())
	}
	check2(t, "LISTEN from now on", r.client(t, pgscript.Query("LISTEN b"), pgscript.Query(channels)), "Q LISTEN b; Q "+channels)
	r.server(t, pgscript.CommandComplete("LISTEN"), readyI, one, readyI)
	check2(t, "notifications", r.server(t, news, pgscript.NotificationResponse(7, "b", "y")), "A b y")
}

// TestListenNotShared leaves to the server what cannot be followed.
func TestListenNotShared(t *testing.T) {
	for _, texts := range [][]string{
		{"LISTEN a; SELECT 1"},
		{"SELECT 1; LISTEN a"},
		{"LISTEN 'a'"},
		{"LISTEN select"},
		{`LISTEN U&"a"`},
		{"DO $$BEGIN LISTEN a; END$$"},
		{"SAVEPOINT s", "LISTEN a"},
		{"SELECT 1; SAVEPOINT s; SELECT 2", "LISTEN a"},
	} {
		d := newDesk()
		for _, sql := range texts {
			check2(t, "text", d.r.client(t, pgscript.Query(sql)), "Q "+sql)
		}
	}
	d := newDesk()
	d.r.client(t, pgscript.Parse("s", "SAVEPOINT x"), sync0)
	d.r.server(t, done1, readyT)
	d.r.client(t, pgscript.Bind("", "s"), pgscript.Execute("", 0), sync0)
	d.r.server(t, done2, pgscript.CommandComplete("SAVEPOINT"), readyT)
	check2(t, "behind a savepoint that was prepared", d.r.client(t, pgscript.Query("LISTEN a")), "Q LISTEN a")
}
