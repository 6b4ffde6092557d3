package reactor

import "github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"

// Plain says whether the bytes go over the endpoint's descriptor as they are: it can be given to another process.
func (e *Endpoint) Plain() bool { return e.tls == nil && e.mem == nil }

// Discard closes a detached endpoint. Where another process has its descriptor too, the connection goes on there.
func (e *Endpoint) Discard() {
	if !e.closed {
		e.closed = true
		sys.Close(int(e.fd))
	}
}

// Take makes an endpoint of a connected socket that another process has given, on the loop with the least load, whose thread calls
// taken. The descriptor is the endpoint's from then on; where there is no memory for it, it is closed, and refused is called.
func (g *Group) Take(fd int, taken func(*Endpoint), refused func(error)) {
	l := g.LeastLoaded()
	l.Post(func() {
		e := &Endpoint{fd: int32(fd)}
		if err := l.Adopt(e); err != nil {
			sys.Close(fd)
			refused(err)
			return
		}
		taken(e)
	})
}
