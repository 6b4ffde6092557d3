package planes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	control "github.com/heliosproxy/heliosproxy/controlplane/assembly"
	data "github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Member starts a data plane that follows a control plane.
func Member(o command.Options, m command.Membership) (command.Server, error) {
	p, err := newProxy(o)
	if err != nil {
		return nil, err
	}
	err = p.Follow(data.ControlPlane{
		Addresses: m.ControlPlanes, Token: m.Token, Source: heliosv1.Source_SOURCE_CONTROL_PLANE, Group: control.DefaultGroup,
		StateDir: o.StateDir, MaxConfigBytes: o.MaxConfigBytes, Advertise: m.Advertise,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Control starts a control plane.
func Control(ctx context.Context, o command.ControlOptions) (command.Closer, error) {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	admin, node, err := control.Tokens(o.DataDir)
	if err != nil {
		return nil, err
	}
	var doors [2]control.Door
	for i, at := range []struct{ address, role, token, file string }{
		{o.AdminListen, "admin", admin, control.AdminTokenFile},
		{o.StreamListen, "node", node, control.NodeTokenFile},
	} {
		l, err := net.Listen("tcp", at.address)
		if err != nil {
			return nil, err
		}
		doors[i] = control.Door{Listener: l, Role: at.role, Token: at.token, Where: filepath.Join(o.DataDir, at.file)}
	}
	var health net.Listener
	if o.HealthListen != "" {
		if health, err = net.Listen("tcp", o.HealthListen); err != nil && !o.HealthOptional {
			return nil, err
		} else if err != nil {
			o.Log.Warn("health and metrics are not served: give another --admin-address", zap.Error(err))
		}
	}
	s, err := control.OpenStore(ctx, o.DataDir, o.EtcdEndpoints, o.Log)
	if err != nil {
		return nil, err
	}
	c, err := control.Start(ctx, control.Options{
		Log: o.Log, Store: s, Admin: doors[:1], Stream: doors[1:], Health: health, MaxConfigBytes: o.MaxConfigBytes,
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	o.Log.Info("control plane ready", zap.String("admin", doors[0].Listener.Addr().String()), zap.String("stream", doors[1].Listener.Addr().String()),
		zap.String("store", s.Name()), zap.String("admin_token", filepath.Join(o.DataDir, control.AdminTokenFile)),
		zap.String("node_token", filepath.Join(o.DataDir, control.NodeTokenFile)))
	return c, nil
}
