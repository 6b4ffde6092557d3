package channels

import (
	"bytes"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// Listener is the connection that listens for all, as one session has it. What it tells the session comes on the thread of the
// session's loop.
type Listener interface {
	// Listen asks for a channel. The answer has the number that is returned.
	Listen(name string) (serial uint64)
	// Catch asks for an answer to nothing but this, which comes behind all notifications that were sent before: for the channel "".
	Catch() (serial uint64)
	// Keep asks for channels that the session listens to already. There is no answer.
	Keep(names ...string)
	// Unlisten says that the session wants no more of a channel.
	Unlisten(name string)
	// Leave says that it wants no more at all.
	Leave()
}

// Owner is who has the session.
type Owner interface {
	// Join lets the session take part at the listener of its database.
	Join(l *Listening) Listener
	// Busy says that something of the session is under way.
	Busy() bool
	// Encoding is the session's client_encoding as it was set, "" where it was not.
	Encoding() string
	// Wake makes the session deliver what it can.
	Wake()
	// Tell delivers what waits, now.
	Tell()
}

// Listening is a session that listens by the connection that listens for all, or is about to.
type Listening struct {
	Set
	owner    Owner
	at       Listener
	encoding string // of notifications
	failed   bool   // since the last ReadyForQuery something was refused
	// Dropped counts the notifications for which there was no room, or that the session's encoding may not have. Whoever has
	// the session may set it back.
	Dropped uint64
}

// Begin makes a session take part.
func Begin(o Owner) *Listening {
	l := &Listening{owner: o}
	l.at = o.Join(l)
	return l
}

// Await says whether the server listens to every channel of which the effects say that it is listened to: Confirmed, Asked where
// that is not known yet, Refused where it will not. What was not asked for is. Asked is followed by a wake-up.
func (l *Listening) Await(fx *statement.Effects) State {
	all := Confirmed
	for i := range fx.Steps {
		st := &fx.Steps[i]
		if st.Do != statement.Listen {
			continue
		}
		if l.State(st.Name) == Unasked {
			l.Ask(st.Name, l.at.Listen(st.Name))
		}
		switch s := l.State(st.Name); {
		case s == Refused, s == Confirmed && !l.readable():
			all = Refused
		case s == Asked && all == Confirmed && !planted.Is(planted.Unheard):
			all = Asked
		}
	}
	return all
}

// Catch asks, once, for what was sent before now. Asked is followed by a wake-up; after that it is Confirmed, whatever came of it.
func (l *Listening) Catch() State {
	switch l.State("") {
	case Unasked:
		if len(l.have) == 0 {
			return Confirmed
		}
		l.Ask("", l.at.Catch())
		return Asked
	case Asked:
		return Asked
	}
	l.Forget("")
	return Confirmed
}

// readable says whether the client reads what comes as it is meant.
func (l *Listening) readable() bool {
	set := l.owner.Encoding()
	return set == "" || plain(set) == plain(l.encoding)
}

// plain is an encoding's name as PostgreSQL compares it.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	if name == "unicode" {
		return "utf8"
	}
	return name
}

// Do notes what a statement has done.
func (l *Listening) Do(a statement.Action, name string) {
	switch a {
	case statement.Listen:
		l.Listen(name)
		if planted.Is(planted.Early) {
			l.Commit()
		}
	case statement.Unlisten:
		l.Unlisten(name)
	case statement.UnlistenAll, statement.DiscardAll:
		l.UnlistenAll()
	case statement.Savepoint:
		l.Savepoint(name)
	case statement.Release:
		l.Release(name)
	case statement.RollbackTo:
		l.RollbackTo(name)
	}
}

// Complete notes the body of a CommandComplete, of the statement with the ordinal number in the text that has the effects: a
// COMMIT or ROLLBACK may be followed by more in the same text, or be chained.
func (l *Listening) Complete(body []byte, fx *statement.Effects, ordinal int) {
	if fx != nil && slices.ContainsFunc(fx.Steps, func(s statement.Step) bool { return s.Ordinal == ordinal && s.Do == statement.RollbackTo }) {
		return
	}
	switch string(bytes.TrimRight(body, "\x00")) {
	case "COMMIT":
		l.Commit()
	case "ROLLBACK":
		l.Rollback()
	}
}

// Fail notes that something was refused.
func (l *Listening) Fail() { l.failed = true }

// Ready notes a ReadyForQuery with the status of the transaction. rests says that nothing is under way. It returns whether the
// session goes on taking part.
func (l *Listening) Ready(status byte, rests bool) bool {
	if status == pgwire.Idle {
		if l.failed {
			l.Rollback()
		}
		l.Commit()
	}
	l.failed = false
	if !rests {
		return true
	}
	l.Purge()
	if status != pgwire.Idle {
		return true
	}
	for _, name := range l.Settle() {
		l.at.Unlisten(name)
	}
	if !l.Empty() {
		return true
	}
	l.at.Leave()
	return false
}

// Leave ends it.
func (l *Listening) Leave() { l.at.Leave() }

// Move makes the session take part at another listener, where Join leads now.
func (l *Listening) Move() {
	l.at.Leave()
	l.at = l.owner.Join(l)
	l.keep()
}

// keep asks the listener for what the session listens to already.
func (l *Listening) keep() {
	names := l.Reask()
	for _, name := range names {
		l.Ask(name, 0)
		l.Answer(name, 0, true)
	}
	l.at.Keep(names...)
}

// At says whether the session takes part at the listener.
func (l *Listening) At(is func(Listener) bool) bool { return is(l.at) }

// SpokenIn is the encoding that the listener's notifications come in.
func (l *Listening) SpokenIn() string { return l.encoding }

// Twice says whether the body of a NotificationResponse, which the session's server connection has sent, is what the listener
// brings too.
func (l *Listening) Twice(body []byte) bool {
	_, channel, _, ok := pgwire.ReadNotification(body)
	return ok && l.Has(string(channel))
}

// Answered takes the listener's answer to a request.
func (l *Listening) Answered(channel string, serial uint64, encoding string, err error) {
	if l.Answer(channel, serial, err == nil) {
		if err == nil {
			l.encoding = encoding
		}
		l.owner.Wake()
	}
}

// Notified takes a notification.
func (l *Listening) Notified(channel string, message []byte) {
	if !l.Take(channel, message, l.owner.Busy()) {
		l.Dropped++
	}
	l.hasNews()
}

// Deliver appends what waits, as [Set.Deliver] does. What the client could not read as it is meant counts as lost.
func (l *Listening) Deliver(dst []byte, max int, lost func(dst []byte) []byte) (out []byte, delivered int) {
	readable := l.readable()
	out, delivered, unfit := l.Set.Deliver(dst, max, func(m []byte) bool { return readable || isASCII(m[pgwire.HeaderSize+4:]) }, lost)
	l.Dropped += uint64(unfit)
	return out, delivered
}

// Lost notes that the listener may have missed something.
func (l *Listening) Lost() {
	l.Lose()
	l.hasNews()
}

func (l *Listening) hasNews() {
	if l.Waiting() {
		l.owner.Wake()
	}
}

// isASCII says whether p means the same in every encoding.
func isASCII(p []byte) bool {
	for _, b := range p {
		if b >= 0x80 {
			return false
		}
	}
	return true
}
