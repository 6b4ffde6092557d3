package meter

// Watch is what the time of the statement and of the transaction under way goes to. Times are nanoseconds of the loop.
type Watch struct {
	// Client is the time that was waited for the client.
	Client int64

	heard          int64 // when the first part came of a statement that is not there as a whole; 0: there is none
	began          int64 // the statement; 0: none is under way
	xact           int64 // the transaction; 0: none is
	queue, connect int64
}

// Begin starts the time of a statement, and of the transaction where none is open.
func (w *Watch) Begin(now int64, idle bool) {
	xact := w.xact
	if idle && xact == 0 {
		xact = now
	}
	if w.heard != 0 {
		*w = Watch{began: w.heard, xact: xact, Client: now - w.heard}
		return
	}
	*w = Watch{began: now, xact: xact}
}

// Hears notes whether a statement has come in part.
func (w *Watch) Hears(now int64, part bool) {
	switch {
	case !part:
		w.heard = 0
	case w.heard == 0:
		w.heard = now
	}
}

// Unfinished takes back that a statement, and maybe a transaction, has begun: only a part of it has come.
func (w *Watch) Unfinished() {
	if w.xact == w.began {
		w.xact = 0
	}
	w.heard, w.began = w.began, 0
}

// Answered counts the statement, whose answer is complete.
func (w *Watch) Answered(now int64, a *Account) {
	if w.began == 0 {
		return
	}
	a.Phases[Queue].Add(w.queue)
	a.Phases[Server].Add(now - w.began - w.queue - w.connect - w.Client)
	if w.connect > 0 {
		a.Phases[Connect].Add(w.connect)
	}
	if w.Client > 0 {
		a.Phases[Client].Add(w.Client)
	}
	w.began = 0
}

// Refused counts the waits of a statement that no server has seen.
func (w *Watch) Refused(a *Account) {
	if w.queue > 0 {
		a.Phases[Queue].Add(w.queue)
	}
	if w.connect > 0 {
		a.Phases[Connect].Add(w.connect)
	}
	w.began, w.xact = 0, 0
}

// Committed counts the transaction that has ended, in whatever way.
func (w *Watch) Committed(now int64, a *Account) {
	if w.xact != 0 {
		a.Transactions++
		a.TransactionTime += now - w.xact
		w.xact = 0
	}
}

// Waited divides a wait for a server connection, from since until now, at the time that one was dialled for it; 0 where none was.
func (w *Watch) Waited(since, now, dialled int64) {
	if dialled <= since {
		w.queue += now - since
		return
	}
	w.queue += dialled - since
	w.connect += now - dialled
}
