// Package planes starts what the program's commands ask for: a data plane, a control plane, or both in one process. It never reads a command line or a file.
package planes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	control "github.com/heliosproxy/heliosproxy/controlplane/assembly"
	data "github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/pkg/ownersock"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// fromFile is why nobody can write to a standalone proxy.
const fromFile = "this proxy's configuration is a file: change the file and send SIGHUP; resources are written to a control plane (heliosproxy controlplane)"

// standalone is both planes in one process: a file is written to the control plane, which sends it to the data
// plane as to any other.
type standalone struct {
	*data.Proxy
	control *control.ControlPlane
	config  string
}

// Standalone starts both planes, without a configuration.
func Standalone(o command.Options) (command.DataPlane, error) {
	p, err := newProxy(o)
	if err != nil {
		return nil, err
	}
	inside := newPipes()
	doors := []control.Door{}
	if door, err := adminSocket(o); err != nil {
		o.Log.Warn("helioctl cannot reach this proxy", zap.Error(err))
	} else {
		doors = append(doors, door)
		o.Log.Info("helioctl reaches this proxy", zap.String("server", "unix:"+door.Listener.Addr().String()))
	}
	c, err := control.Start(context.Background(), control.Options{
		Log: o.Log, Store: control.Memory(), Admin: doors, Stream: []control.Door{{Listener: inside}},
		MaxConfigBytes: o.MaxConfigBytes, ReadOnly: fromFile, Alone: true,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	err = p.Follow(data.ControlPlane{
		Dial: inside.dial, Source: heliosv1.Source_SOURCE_FILE, Group: control.DefaultGroup, MaxConfigBytes: o.MaxConfigBytes,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close(), c.Close())
	}
	return &standalone{p, c, o.Config}, nil
}

func newProxy(o command.Options) (*data.Proxy, error) {
	_ = os.MkdirAll(o.StateDir, 0o700) // what needs it says so
	return data.New(data.Options{
		Log: o.Log, LogLevel: o.LogLevel, NodeID: o.NodeID, Loops: o.Loops, AdminAddress: o.AdminAddress, AdminToken: o.AdminToken, Listen: o.Listen,
		StateDir: o.StateDir, Takeover: o.Takeover, TakeoverWindow: o.TakeoverWindow, DrainRate: o.DrainRate, AdminOptional: o.AdminOptional,
		Reload: o.Reload, Shutdown: func(how data.Shutdown) { o.Shutdown(endings()[how]) },
		HandedOver: func() { o.Shutdown(command.HandedOver) }, Inherited: o.Inherited,
	})
}

// endings are the ways to end as the command line calls them.
func endings() map[data.Shutdown]command.Ending {
	return map[data.Shutdown]command.Ending{
		data.Immediately: command.AtOnce, data.WaitForServers: command.AfterTransactions, data.WaitForClients: command.AfterClients,
	}
}

// applyPatience is how long a configuration may take to come in force.
const applyPatience = time.Minute

// Apply puts resources in force.
func (s *standalone) Apply(set *resource.Set) error {
	ctx, stop := context.WithTimeout(context.Background(), applyPatience)
	defer stop()
	refusals := s.Refusals()
	hash, err := s.control.Replace(ctx, set, "file "+s.config)
	if err != nil {
		return err
	}
	if err := s.Await(ctx, hash, refusals); err != nil {
		return err
	}
	return s.Unset() // the same resources again are nothing new
}

// Close ends both planes.
func (s *standalone) Close() error { return errors.Join(s.Proxy.Close(), s.control.Close()) }

// adminSocket opens the socket through which helioctl reaches a standalone proxy. Who may open the file may
// come in: it is made with mode 0600.
func adminSocket(o command.Options) (control.Door, error) {
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return control.Door{}, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(o.StateDir, "admin.sock")
	l, err := ownersock.Listen(path, o.Takeover)
	switch {
	case errors.Is(err, ownersock.ErrAnswers):
		return control.Door{}, fmt.Errorf("another process answers at %s: give this one a --state-dir of its own", path)
	case err != nil:
		return control.Door{}, fmt.Errorf("admin socket: %w", err)
	}
	return control.Door{Listener: l, Role: "local"}, nil
}

// pipes is a listener inside the process.
type pipes struct {
	in     chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{in: make(chan net.Conn), closed: make(chan struct{})} }

// dial connects to whoever accepts.
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.in <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "inside the process"} }
