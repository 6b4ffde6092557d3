// Package trial tries on this machine what a configuration names: files, addresses, and nodes. It never logs in at a node but as the auth_user of a database, and leaves nothing open.
package trial

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// patience is how long a node may take to answer.
const patience = 3 * time.Second

// attempt is what was tried so far.
type attempt struct {
	set      *resource.Set
	admin    string // HOST:PORT
	optional bool   // the admin address
	files    tlsconf.Files
	lookup   lookup
	bad      map[string]bool // nodes that were tried in vain
	outcomes []command.Outcome
}

// Try tries what a file names: certificates and other files, the addresses of listeners, and, unless offline, the nodes.
func Try(ctx context.Context, file *configfile.File, offline bool) []command.Outcome {
	a := &attempt{set: file.Set, admin: file.Bootstrap.AdminAddress, optional: file.Bootstrap.AdminOptional}
	conf := a.set.Resolvers[resource.ResolverName].GetResolvConf()
	a.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		return assembly.LookupHost(ctx, conf, name)
	}
	for _, name := range slices.Sorted(maps.Keys(a.set.Listeners)) {
		l := a.set.Listeners[name]
		a.certificate(l)
		a.address(ctx, "listener "+name, l.GetAddress(), l.GetSoReuseport(), l.GetSocketGroup())
	}
	a.address(ctx, "admin address", a.admin, false, "")
	for _, name := range slices.Sorted(maps.Keys(a.set.Clusters)) {
		a.passwords("passwords of cluster "+name, a.set.Clusters[name].GetPasswords())
	}
	for _, name := range slices.Sorted(maps.Keys(a.set.Users)) {
		a.passwords("passwords of user "+name, a.set.Users[name].GetServerPasswords())
	}
	a.nodes(ctx, offline)
	if !offline {
		a.inquiries(ctx)
	}
	return a.outcomes
}

func (a *attempt) ok(what, format string, args ...any) { a.add(command.OK, what, format, args...) }

func (a *attempt) warn(what, format string, args ...any) { a.add(command.Warn, what, format, args...) }

func (a *attempt) fail(what, format string, args ...any) { a.add(command.Fail, what, format, args...) }

func (a *attempt) add(level command.Level, what, format string, args ...any) {
	a.outcomes = append(a.outcomes, command.Outcome{Level: level, What: what, Why: fmt.Sprintf(format, args...)})
}

// certificate loads what a listener shows to clients and what it holds theirs against.
func (a *attempt) certificate(l *heliosv1.Listener) {
	spec := resource.TowardsClients(l.GetTls())
	if !spec.Mode.Offered() {
		return
	}
	what := "TLS of listener " + l.GetName()
	server, err := a.files.LoadServer(spec)
	if err != nil {
		a.fail(what, "%s", err)
		return
	}
	for _, w := range server.Warnings() {
		a.warn(what, "%s", w)
	}
	_, cert := server.Current()
	if time.Now().After(cert.NotAfter) {
		return // of which there is a warning
	}
	a.ok(what, "%s is good until %s", spec.CertFile, cert.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
}

// passwords looks for what passwords come from. They are read when connections are opened, as is what a program prints.
func (a *attempt) passwords(what string, p *heliosv1.PasswordSource) {
	file := p.GetPassfile()
	if file == "" {
		file = p.GetFile()
	}
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			a.fail(what, "%s", err)
			return
		}
		f.Close()
		a.ok(what, "%s can be read", file)
	case len(p.GetCommand()) > 0:
		path, err := exec.LookPath(p.GetCommand()[0])
		if err != nil {
			a.fail(what, "%s", err)
			return
		}
		a.ok(what, "%s is there, and was not run", path)
	}
}
