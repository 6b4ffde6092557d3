package entry

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// door is where a client comes to: a listener, or the rules of a file.
type door struct {
	name     string // as sentences have it
	resource bool   // it is a Listener; else tls, auth and unix say nothing
	unix     bool
	tls      tlsconf.Mode
	auth     heliosv1.AuthMethod // where there are no rules
	silent   bool                // it does not say auth itself
	rules    *hba.Rules          // nil: auth is for all
	maps     *hba.Maps
}

// at is where a rule stands.
func (d *door) at(r *hba.Rule) string {
	if d.resource {
		return fmt.Sprintf("%s: %s line %d", d.name, r.File, r.Line)
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

// openFile reads rules and maps as a proxy does.
func openFile(path, identPath string) (*door, error) {
	o := hba.Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir, Lack: hba.Needs{Roles: true}}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, exit.Refused(err)
	}
	d := &door{name: path}
	var problems []hba.Problem
	if d.rules, problems = hba.Parse(path, text, o); d.rules != nil {
		problems = resource.NotServed(d.rules, true) // whether there is one is no matter of the file
	}
	if identPath != "" {
		if text, err = os.ReadFile(identPath); err != nil {
			return nil, exit.Refused(err)
		}
		var more []hba.Problem
		d.maps, more = hba.ParseIdent(identPath, text, o)
		problems = append(problems, more...)
	}
	return d, refuse(problems)
}

// openListener reads a Listener.
func (w World) openListener(c *cobra.Command, name string) (*door, error) {
	all, err := w.List(c, string(resource.KindListener), name)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, exit.Refused(fmt.Errorf("there is no Listener %q: helioctl get listeners lists them", name))
	}
	_, m, fault := release.Decode(all[0].GetItem())
	l, ok := m.(*heliosv1.Listener)
	if fault != nil || !ok {
		return nil, exit.Refused(fmt.Errorf("listener %q: %s: is helioctl older than the control plane?", name, fault.GetReason()))
	}
	auth, err := w.authOf(c, l)
	if err != nil {
		return nil, err
	}
	d := &door{name: fmt.Sprintf("Listener %q", name), resource: true, auth: auth, silent: l.GetAuth() != auth, tls: resource.TowardsClients(l.GetTls()).Mode}
	if a, err := resource.ParseAddress(l.GetAddress()); err == nil {
		d.unix = a.Path != ""
	}
	var problems []hba.Problem
	d.rules, d.maps, problems = resource.Rules(l)
	return d, refuse(problems)
}

// authOf is how clients of a listener without rules prove who they are, which is another way if there are users.
func (w World) authOf(c *cobra.Command, l *heliosv1.Listener) (heliosv1.AuthMethod, error) {
	set := &resource.Set{Users: map[string]*heliosv1.User{}, Databases: map[string]*heliosv1.Database{}}
	for _, kind := range []resource.Kind{resource.KindUser, resource.KindDatabase} {
		all, err := w.List(c, string(kind))
		if err != nil {
			return 0, err
		}
		for _, x := range all {
			switch _, m, _ := release.Decode(x.GetItem()); m := m.(type) {
			case *heliosv1.User:
				set.Users[m.GetName()] = m
			case *heliosv1.Database:
				set.Databases[m.GetName()] = m
			}
		}
	}
	return set.AuthOf(l), nil
}

// refuse makes one error of what is wrong with rules.
func refuse(problems []hba.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	var all []error
	for _, p := range problems {
		all = append(all, errors.New(p.String()))
	}
	return exit.Refused(errors.Join(all...))
}

// interfaces are the addresses of this machine with their networks.
func interfaces() ([]netip.Prefix, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Prefix
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p)
		}
	}
	return own, nil
}
