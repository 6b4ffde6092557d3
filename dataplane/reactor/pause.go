package reactor

// Pause takes nobody in at the listener until Resume: those who come wait, or are taken in by another process that has the socket. On
// the loop's thread, as Resume and Abandon are.
func (ls *Listener) Pause() {
	if ls.loop == nil || ls.fd < 0 {
		return
	}
	ls.loop.accepting[ls.fd] = nil
	ls.loop.engine.ignore(ls)
}

// Resume takes clients in again.
func (ls *Listener) Resume() error {
	ls.loop.accepting[ls.fd] = ls
	return ls.loop.engine.listen(ls)
}

// Abandon closes the listener, whose socket another process has: the file of a unix socket stays.
func (ls *Listener) Abandon() {
	ls.owns = false
	ls.Close()
}

// Descriptor is the number of the listener's file descriptor.
func (ls *Listener) Descriptor() int { return ls.fd }
