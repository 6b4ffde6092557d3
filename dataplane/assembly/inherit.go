package assembly

import (
	"maps"
	"os/user"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
)

// inherited are the listening sockets that the process was handed, until a configuration is in force that says which of them are used.
type inherited struct {
	log     *zap.Logger
	sockets []handed
}

type handed struct {
	name string
	ls   *reactor.Listener
}

// inherit takes descriptors over, each with the name of the listener that it is for, or any other. owned are those whose socket's file is a
// proxy's.
func inherit(log *zap.Logger, descriptors map[int]string, owned map[int]bool) *inherited {
	in := &inherited{log: log}
	for _, fd := range slices.Sorted(maps.Keys(descriptors)) {
		ls, err := reactor.Inherit(fd, owned[fd])
		if err != nil {
			log.Warn("a descriptor that was handed over is closed", zap.String("name", descriptors[fd]), zap.Error(err))
			continue
		}
		in.sockets = append(in.sockets, handed{descriptors[fd], ls})
	}
	return in
}

// match says which listener gets which socket: the one that is bound where it shall listen, or else the one that has its name.
func (in *inherited) match(addresses map[string]string) map[string]*reactor.Listener {
	got := map[string]*reactor.Listener{}
	if len(in.sockets) == 0 {
		return got
	}
	left := slices.Clone(in.sockets)
	take := func(name string, fits func(handed) bool) {
		if i := slices.IndexFunc(left, fits); got[name] == nil && i >= 0 {
			got[name] = left[i].ls
			left = slices.Delete(left, i, i+1)
		}
	}
	names := slices.Sorted(maps.Keys(addresses))
	for _, name := range names {
		if a, err := reactor.ParseAddress(addresses[name]); err == nil {
			take(name, func(h handed) bool { return h.ls.Serves(a) })
		}
	}
	for _, name := range names {
		take(name, func(h handed) bool { return h.name == name })
	}
	return got
}

// close closes listeners that were opened and are not used, but for those that were handed over: another configuration may use them.
func (in *inherited) close(opened map[string]*reactor.Listener) {
	for _, l := range opened {
		if !slices.ContainsFunc(in.sockets, func(h handed) bool { return h.ls == l }) {
			l.Close()
		}
	}
}

// settle closes the sockets that nobody uses: a configuration is in force, and these are its listeners.
func (in *inherited) settle(used map[string]*reactor.Listener) {
	for _, h := range in.sockets {
		if !slices.Contains(slices.Collect(maps.Values(used)), h.ls) {
			in.log.Warn("a socket that was handed over is closed: no listener has its address or its name",
				zap.String("name", h.name), zap.Stringer("address", h.ls.Address()))
			h.ls.Close()
		}
	}
	in.sockets = nil
}

// ready opens a listener at addr, unless ls is there already, and says who may connect. An error is about a field of the resource.
func ready(l *snapshot.Listener, addr string, ls *reactor.Listener) (_ *reactor.Listener, field string, err error) {
	s, err := share(l)
	if err != nil {
		return nil, "socket_group", err
	}
	if ls != nil {
		return ls, "socket_mode", ls.Share(s)
	}
	a, err := reactor.ParseAddress(addr)
	if err == nil {
		ls, err = reactor.Listen(a, s)
	}
	return ls, "address", err
}

// share says who else may use a listener.
func share(l *snapshot.Listener) (reactor.Share, error) {
	s := reactor.Share{Port: l.Shared, Mode: l.Mode}
	if l.Group == "" {
		return s, nil
	}
	number, err := strconv.Atoi(l.Group)
	if err != nil {
		g, err := user.LookupGroup(l.Group)
		if err != nil {
			return s, err
		}
		number, _ = strconv.Atoi(g.Gid)
	}
	s.Group = number
	return s, nil
}
