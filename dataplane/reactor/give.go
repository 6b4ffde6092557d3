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

// Take makes endpoints of connected sockets that another process has given, on the loop with the least load, whose thread calls
// taken. The descriptors are the endpoints' from then on; where there is no memory for one, all are closed, and refused is called.
func (g *Group) Take(fds []int, taken func([]*Endpoint), refused func(error)) {
	l := g.LeastLoaded()
	l.Post(func() {
		var es []*Endpoint
		for i, fd := range fds {
			e := &Endpoint{fd: int32(fd)}
			if err := l.Adopt(e); err != nil {
				for _, e := range es {
					e.Close()
				}
				for _, fd := range fds[i:] {
					sys.Close(fd)
				}
				refused(err)
				return
			}
			es = append(es, e)
		}
		taken(es)
	})
}
