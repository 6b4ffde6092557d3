package trial

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// address binds an address for a moment, beside others if it is shared. A socket's file gets its group.
func (a *attempt) address(ctx context.Context, what, text string, shared bool, group string) {
	where, err := resource.ParseAddress(text)
	if err != nil {
		a.fail(what, "%s", err) // what is validated does not have it
		return
	}
	err = bind(ctx, where, shared, group)
	switch {
	case err == nil:
		a.ok(what, "%s can be bound", where)
	case !errors.Is(err, syscall.EADDRINUSE):
		a.fail(what, "%s cannot be bound: %s", where, err)
	case a.runs(ctx):
		a.warn(what, "%s is in use, by the proxy that runs: at %s it says that it is alive", where, a.admin)
		a.outcomes[len(a.outcomes)-1].Runs = true
	case a.optional && text == a.admin:
		a.warn(what, "%s is in use: health and metrics are not served", where)
	default:
		a.fail(what, "%s is in use, and not by a proxy: none answers at its admin address %s", where, a.admin)
	}
}

// bind opens an address and closes it again. As for the proxy, a socket file that nobody listens at is in nobody's way; it is left there.
func bind(ctx context.Context, where resource.Address, shared bool, group string) error {
	if where.Path == "" {
		var c net.ListenConfig
		if shared {
			c.Control = share
		}
		l, err := c.Listen(ctx, "tcp", where.TCP.String())
		if err != nil {
			return plain(err)
		}
		return l.Close()
	}
	gid, err := groupOf(group)
	if err != nil {
		return err
	}
	st, err := os.Lstat(where.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		l, err := new(net.ListenConfig).Listen(ctx, "unix", where.Path)
		if err != nil {
			return plain(err)
		}
		if gid >= 0 {
			err = os.Chown(where.Path, -1, gid)
		}
		return errors.Join(err, l.Close())
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return errors.New("there is a file which is not a socket")
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", where.Path)
	if err == nil {
		c.Close()
		return syscall.EADDRINUSE
	}
	return nil
}

// groupOf is the number of a group; -1 where none is said.
func groupOf(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if number, err := strconv.Atoi(name); err == nil {
		return number, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// share sets SO_REUSEPORT, for which package syscall has no name.
func share(_, _ string, c syscall.RawConn) error {
	const soReusePort = 15
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1) })
	return errors.Join(err, failed)
}

// plain is an error of net without the address, which is said already.
func plain(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// runs says whether a proxy answers at the admin address.
func (a *attempt) runs(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.admin+"/livez", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: time.Second}}
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var said struct{ Alive bool }
	return json.NewDecoder(io.LimitReader(answer.Body, 1<<10)).Decode(&said) == nil && said.Alive
}
