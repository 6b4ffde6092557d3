package listen

import (
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Told is a session that is told. All calls are made on the thread of the session's loop.
type Told interface {
	// Answered says what became of the request with the serial number: nil when the server listens, and why not otherwise.
	// encoding is the client_encoding that notifications come in.
	Answered(channel string, serial uint64, encoding string, err error)
	// Notified brings a NotificationResponse, whole. It is shared and is not to be changed.
	Notified(channel string, message []byte)
	// Lost says that notifications may have been lost before those that come now, as the connection was.
	Lost()
}

// Member is a session at a listener. It belongs to the loop of the session.
type Member struct {
	l      *Listener
	loop   *reactor.Loop
	told   Told
	gone   bool
	serial uint64

	in map[*channel]struct{} // of the listener's loop
}

// Join lets a session that is on the given loop take part.
func (l *Listener) Join(loop *reactor.Loop, told Told) *Member {
	return &Member{l: l, loop: loop, told: told, in: map[*channel]struct{}{}}
}

// Has says whether m is a member of l.
func (l *Listener) Has(m any) bool {
	x, ok := m.(*Member)
	return ok && x.l == l
}

// Listen asks that the session be told of the channel's notifications, from the answer on. The answer has the number that is
// returned; it comes within the listener's patience.
func (m *Member) Listen(name string) (serial uint64) {
	m.serial++
	w := &wait{m: m, serial: m.serial}
	m.l.loop.Post(func() { m.l.join(w, name) })
	return m.serial
}

// Catch asks for an answer, as Listen does, to nothing but this: all notifications that were sent before are with the session when it
// comes. It is no promise where the connection is lost meanwhile, which the session is told as ever.
func (m *Member) Catch() (serial uint64) {
	m.serial++
	w := &wait{m: m, serial: m.serial}
	m.l.loop.Post(func() { m.l.catch(w) })
	return m.serial
}

// Keep is Listen for a session that listens to the channels already, by another listener: it is not answered, and is told once
// that notifications may have been lost, when the server listens to all of them.
func (m *Member) Keep(names ...string) {
	m.l.loop.Post(func() {
		for _, name := range names {
			m.l.keep(m, name)
		}
	})
}

// Unlisten says that the session wants no more of the channel's notifications. Some may be under way.
func (m *Member) Unlisten(name string) {
	m.l.loop.Post(func() {
		if ch := m.l.channels[name]; ch != nil {
			m.l.part(m, ch)
		}
	})
}

// Leave ends the membership: the session is told nothing more.
func (m *Member) Leave() {
	m.gone = true
	m.l.loop.Post(func() {
		for ch := range m.in {
			m.l.part(m, ch)
		}
	})
}

// join takes a session's request.
func (l *Listener) join(w *wait, name string) {
	if err := l.hopeless(); err != nil {
		w.answer(name, "", err)
		return
	}
	ch := l.channel(name)
	w.ch = ch
	w.m.in[ch] = struct{}{}
	ch.waiting = append(ch.waiting, w)
	l.waits.add(w)
	l.list(ch)
	l.Wake()
}

// catch takes a session's request for no channel.
func (l *Listener) catch(w *wait) {
	if l.conn == nil {
		w.answer("", l.encoding, nil) // nothing is on its way
		return
	}
	l.catching = append(l.catching, w)
	l.waits.add(w)
	l.Wake()
}

// channel returns the channel of that name, made if there was none.
func (l *Listener) channel(name string) *channel {
	ch := l.channels[name]
	if ch == nil {
		ch = &channel{name: name, members: map[*Member]struct{}{}}
		l.channels[name] = ch
		l.counts.channels.Add(1)
	}
	return ch
}

// keep takes a session that comes from another listener.
func (l *Listener) keep(m *Member, name string) {
	if l.closed {
		return
	}
	ch := l.channel(name)
	m.in[ch] = struct{}{}
	ch.members[m] = struct{}{}
	l.counts.subscriptions.Add(1)
	l.late = append(l.late, m)
	l.list(ch)
	l.Wake()
}

// hopeless says why a request need not wait: the server was not reached again and again, and it is not time for the next try.
func (l *Listener) hopeless() error {
	if l.closed {
		return errClosed
	}
	if l.conn == nil && l.failures > 1 && l.loop.Now() < l.retry {
		return errAway
	}
	return nil
}

// part takes a session from a channel.
func (l *Listener) part(m *Member, ch *channel) {
	delete(m.in, ch)
	if _, ok := ch.members[m]; ok {
		delete(ch.members, m)
		l.counts.subscriptions.Add(-1)
	}
	for _, list := range [...]*[]*wait{&ch.waiting, &ch.flying} {
		kept := (*list)[:0]
		for _, w := range *list {
			if w.m != m {
				kept = append(kept, w)
			} else {
				w.over = true
			}
		}
		*list = kept
	}
	l.release(ch)
}

// release sees to it that the server does not listen any longer than somebody wants that.
func (l *Listener) release(ch *channel) {
	if ch.wanted() || l.channels[ch.name] != ch {
		return
	}
	if l.conn == nil {
		l.drop(ch)
		l.unlist(ch)
	} else {
		l.list(ch)
	}
	l.Wake()
}

// drop forgets a channel.
func (l *Listener) drop(ch *channel) {
	delete(l.channels, ch.name)
	l.counts.channels.Add(-1)
}

// list notes that the server has something to hear of the channel.
func (l *Listener) list(ch *channel) {
	if !ch.listed {
		ch.listed = true
		l.todo = append(l.todo, ch)
	}
}

func (l *Listener) unlist(ch *channel) {
	for i, x := range l.todo {
		if x == ch {
			l.todo = append(l.todo[:i], l.todo[i+1:]...)
			ch.listed = false
			return
		}
	}
}

// wait is a session that waits for the server to listen.
type wait struct {
	m      *Member
	ch     *channel // nil for Catch
	serial uint64
	until  int64
	over   bool // answered, or nobody wants to know
}

// answer tells the session.
func (w *wait) answer(channel, encoding string, err error) {
	w.over = true
	m, serial := w.m, w.serial
	m.loop.Post(func() {
		if !m.gone {
			m.told.Answered(channel, serial, encoding, err)
		}
	})
}

// waits are those who wait, the oldest first. None waits longer than the listener's patience.
type waits struct {
	l     *Listener
	list  []*wait
	timer reactor.Timer
}

func (ws *waits) init(l *Listener) {
	ws.l = l
	ws.timer.Init(ws)
}

func (ws *waits) add(w *wait) {
	w.until = ws.l.loop.Now() + int64(ws.l.o.Patience)
	ws.list = append(ws.list, w)
	if !ws.timer.Running() {
		ws.timer.Start(ws.l.loop, w.until)
	}
}

// Fire answers those whose time is over.
func (ws *waits) Fire(*reactor.Timer) {
	now := ws.l.loop.Now()
	for len(ws.list) > 0 && (ws.list[0].over || ws.list[0].until <= now) {
		w := ws.list[0]
		ws.list[0], ws.list = nil, ws.list[1:]
		if !w.over {
			ws.l.fail(w, errSlow)
		}
	}
	if len(ws.list) > 0 {
		ws.timer.Start(ws.l.loop, ws.list[0].until)
	}
}

// failWaits answers all who wait that nothing comes of it.
func (l *Listener) failWaits(err error) {
	for _, w := range l.waits.list {
		if !w.over {
			l.fail(w, err)
		}
	}
	l.waits.list = nil
	l.waits.timer.Stop(l.loop)
}

// fail answers one of them so.
func (l *Listener) fail(w *wait, err error) {
	if w.ch == nil {
		w.answer("", "", err)
		return
	}
	w.answer(w.ch.name, "", err)
	l.part(w.m, w.ch)
}

// counts is what a listener has counted. Whoever asks may be on any thread.
type counts struct {
	channels, subscriptions atomic.Int64
	connections, losses     atomic.Uint64
	notifications           atomic.Uint64
	connected               atomic.Bool
}

// Stats is what a listener does and has done.
type Stats struct {
	Channels      int    // that are listened to
	Subscriptions int    // of sessions to them
	Connections   uint64 // that were opened
	Losses        uint64 // of connections, while somebody listened
	Notifications uint64 // received
	Connected     bool
}

// Stats returns what the listener does. Any thread may call it.
func (l *Listener) Stats() Stats {
	c := &l.counts
	return Stats{
		Channels: int(c.channels.Load()), Subscriptions: int(c.subscriptions.Load()), Connections: c.connections.Load(),
		Losses: c.losses.Load(), Notifications: c.notifications.Load(), Connected: c.connected.Load(),
	}
}
