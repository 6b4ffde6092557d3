package trial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// atOnce bounds how many nodes are tried at the same time.
const atOnce = 64

// nodes loads what TLS with each node needs, and tries all of them side by side.
func (a *attempt) nodes(ctx context.Context, offline bool) {
	var all []*heliosv1.Node
	for _, name := range slices.Sorted(maps.Keys(a.set.Nodes)) {
		if n := a.set.Nodes[name]; n.Enabled == nil || n.GetEnabled() {
			all = append(all, n)
		}
	}
	found := make([]command.Outcome, len(all))
	places := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for i, n := range all {
		what := fmt.Sprintf("node %s (%s)", n.GetName(), place(n))
		spec, _ := resource.TowardsServers(a.set.Clusters[n.GetCluster()], n)
		client, err := a.files.LoadClient(spec)
		if err != nil {
			found[i] = command.Outcome{Level: command.Fail, What: what, Why: err.Error()}
			continue
		}
		for _, w := range client.Warnings() {
			a.warn(what, "%s", w)
		}
		if offline {
			continue
		}
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			how, err := reach(ctx, n, client, a.lookup)
			found[i] = command.Outcome{Level: command.OK, What: what, Why: how}
			if err != nil {
				found[i].Level, found[i].Why = command.Fail, err.Error()
			}
		})
	}
	wait.Wait()
	a.bad = map[string]bool{}
	for i, o := range found {
		a.bad[all[i].GetName()] = o.Level == command.Fail
		if o.What != "" {
			a.outcomes = append(a.outcomes, o)
		}
	}
}

// place is where a node is, as people write it.
func place(n *heliosv1.Node) string {
	all, err := resource.Hosts(n.GetHost(), n.GetPort())
	if err != nil {
		return n.GetHost()
	}
	texts := make([]string, len(all))
	for i, h := range all {
		if texts[i] = h.String(); strings.HasPrefix(h.Name, "/") {
			texts[i] = socket(h)
		}
	}
	return strings.Join(texts, ",")
}

// socket is the unix socket of a host that is a directory.
func socket(h resource.Host) string { return filepath.Join(h.Name, ".s.PGSQL."+strconv.Itoa(h.Port)) }

// connect connects to the first of a node's hosts that answers.
func connect(ctx context.Context, n *heliosv1.Node, lookup lookup) (conn net.Conn, host string, err error) {
	all, err := resource.Hosts(n.GetHost(), n.GetPort())
	if err != nil {
		return nil, "", err
	}
	var d net.Dialer
	for _, h := range all {
		if strings.HasPrefix(h.Name, "/") {
			if conn, err = d.DialContext(ctx, "unix", socket(h)); err == nil {
				return conn, h.Name, nil
			}
			continue
		}
		ips := []netip.Addr{}
		if ip, no := netip.ParseAddr(h.Name); no == nil {
			ips = append(ips, ip)
		} else if ips, err = lookup(ctx, h.Name); err != nil {
			continue
		}
		for _, ip := range ips {
			if conn, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(h.Port)).String()); err == nil {
				return conn, h.Name, nil
			}
		}
	}
	return nil, "", err
}

// lookup finds the addresses of a name.
type lookup func(ctx context.Context, name string) ([]netip.Addr, error)

// reach connects to a node, speaks TLS with it as a proxy would, and hangs up before anybody logs in. It says how far it came.
func reach(ctx context.Context, n *heliosv1.Node, client *tlsconf.Client, lookup lookup) (how string, err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	conn, host, err := connect(ctx, n, lookup)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", patience)
		}
		return "", fmt.Errorf("not reached: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	mode := client.Mode()
	switch {
	case strings.HasPrefix(host, "/"):
		return "reached", nil
	case mode == tlsconf.Disable:
		return "reached, without TLS", nil
	case mode == tlsconf.Allow:
		return "reached, and TLS only if it refuses to do without", nil
	}
	if !client.Direct() {
		speaks, err := ask(conn)
		switch {
		case err != nil:
			return "", err
		case !speaks && mode.Required():
			return "", fmt.Errorf("reached, but it speaks no TLS, and the mode is %s", mode)
		case !speaks:
			return "reached, without TLS: it has none", nil
		}
	}
	c := tls.Client(conn, client.Config(host))
	if err := c.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", patience)
		}
		return "", fmt.Errorf("reached, but there is no TLS with it by mode %s: %w", mode, err)
	}
	defer c.Close()
	verified := "nothing verified"
	if mode >= tlsconf.VerifyCA {
		verified = mode.String()
	}
	state := c.ConnectionState()
	return fmt.Sprintf("reached, %s with %s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), verified), nil
}

// ask asks for TLS.
func ask(conn net.Conn) (speaks bool, err error) {
	if _, err := conn.Write(pgwire.AppendSSLRequest(nil)); err != nil {
		return false, fmt.Errorf("reached, and then: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return false, fmt.Errorf("reached, but it does not say whether it speaks TLS: %w", err)
	}
	switch answer[0] {
	case 'S':
		return true, nil
	case 'N':
		return false, nil
	}
	return false, errors.New("reached, but what answers is no PostgreSQL server")
}
