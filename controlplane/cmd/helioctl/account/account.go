// Package account is helioctl's commands about users: they are added, get other secrets, and are listed. It never shows a secret, and never sends the password where a hash of it does.
package account

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Plane is the control plane.
type Plane interface {
	// List reads the resources of a kind that have these names, without names all of them.
	List(c *cobra.Command, kind string, names ...string) ([]*heliosv1.Resource, error)
	// Writer gives a command the flags of those that write, and returns what carries out its changes and shows what they did.
	Writer(c *cobra.Command) func(changes ...*heliosv1.Change) error
}

// World is what the commands see of the world.
type World struct {
	Plane    Plane
	In       io.Reader
	Out, Err io.Writer
}

// Commands are those below `helioctl user`.
func Commands(w World) []*cobra.Command {
	return []*cobra.Command{w.addCommand(), w.passwdCommand(), w.listCommand()}
}

// forms is what every command says that takes a password.
const forms = `The password is asked for twice, or, with --password-stdin, is the one line of the input. What is stored is a SCRAM-SHA-256
verifier of it, unless a flag says otherwise:

  (verifier)  The client proves that it knows the password, and nobody can read the password from what is stored. What it proves
              opens servers where the same verifier is stored, salt and all: for that take the server's own, below.
  --plain     The password itself. The client proves it by whatever the listener asks for, and the proxy logs in with it at
              servers, for another --server-user too. Whoever can read the control plane's store can read it.
  --md5       PostgreSQL's md5 hash, for clients that know nothing newer. It answers no SCRAM, and opens only servers that ask
              for md5 and the same user.

A verifier or an md5 hash in place of the password is stored as it is, as PostgreSQL does it: so a user gets the server's own.`

func (w World) addCommand() *cobra.Command {
	var s secret
	var serverUser string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add somebody who may log in",
		Long:  "Add somebody who may log in. Who is there already is left alone: helioctl user passwd gives him another password.\n\n" + forms,
		Example: `  helioctl user add app
  psql -XAtc "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'" | helioctl user add app --password-stdin`,
		Args: one("helioctl user add"),
	}
	write := w.Plane.Writer(c)
	s.register(c)
	c.Flags().StringVar(&serverUser, "server-user", "", "the name at servers (default: the user's own)")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, given []string) error {
		if err := s.check(c); err != nil {
			return err
		}
		name := given[0]
		if r, err := w.find(c, name); err != nil {
			return err
		} else if r != nil {
			return exit.Refused(fmt.Errorf("there is a User %q already, nothing was changed: helioctl user passwd %s gives it another password", name, name))
		}
		u := &heliosv1.User{Name: name, ServerUser: serverUser}
		if err := w.give(c, u, s, ""); err != nil {
			return err
		}
		return put(write, u, 0)
	}
	return c
}

func (w World) passwdCommand() *cobra.Command {
	var s secret
	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user another password",
		Long:  "Give a user another password. Nothing else of it is changed, and sessions that are in stay.\n\n" + forms,
		Args:  one("helioctl user passwd"),
	}
	write := w.Plane.Writer(c)
	s.register(c)
	c.ValidArgsFunction = w.completeUser
	c.RunE = func(c *cobra.Command, given []string) error {
		if err := s.check(c); err != nil {
			return err
		}
		name := given[0]
		r, err := w.find(c, name)
		if err != nil {
			return err
		}
		if r == nil {
			return exit.Refused(fmt.Errorf("there is no User %q, nothing was changed: helioctl user add %s adds it", name, name))
		}
		u, err := decode(r)
		if err != nil {
			return err
		}
		if err := w.give(c, u, s, r.GetSecrets()["server_password"]); err != nil {
			return err
		}
		return put(write, u, r.GetRevision())
	}
	return c
}

// one wants one argument.
func one(command string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := cobra.ExactArgs(1)(c, given); err != nil {
			return exit.Usage(err, command)
		}
		if given[0] == "" {
			return exit.Usage(errors.New("a user has a name"), command)
		}
		return nil
	}
}

// find reads a user; nil if it is not there.
func (w World) find(c *cobra.Command, name string) (*heliosv1.Resource, error) {
	all, err := w.Plane.List(c, string(resource.KindUser), name)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

func decode(r *heliosv1.Resource) (*heliosv1.User, error) {
	_, m, fault := release.Decode(r.GetItem())
	u, ok := m.(*heliosv1.User)
	if fault != nil || !ok {
		return nil, exit.Refused(fmt.Errorf("user %q: %s: is helioctl older than the control plane?", r.GetItem().GetName(), fault.GetReason()))
	}
	return u, nil
}

// give asks for a password and makes the secret of a user of it. serverPassword is what the user has for servers beside, if anything.
func (w World) give(c *cobra.Command, u *heliosv1.User, s secret, serverPassword string) error {
	value, err := s.of(c.Context(), w, u.GetName())
	if err != nil {
		return err
	}
	form, _ := resource.FormOf(value)
	if other := u.GetServerUser(); form != resource.SecretPassword && other != "" && other != u.GetName() && serverPassword == "" && u.GetServerPasswords() == nil {
		fmt.Fprintf(w.Err, "A hash opens no server for another user: %s has no password for %s. Use --plain, or give it a serverPassword (helioctl edit user %s).\n",
			u.GetName(), other, u.GetName())
	}
	u.Secret = &heliosv1.Secret{Value: value}
	return nil
}

// put writes a user that is at this revision; 0 is not there.
func put(write func(...*heliosv1.Change) error, u *heliosv1.User, revision uint64) error {
	it, err := release.Encode(resource.KindUser, u)
	if err != nil {
		return err
	}
	return write(&heliosv1.Change{Change: &heliosv1.Change_Put{Put: it}, ExpectedRevision: proto.Uint64(revision)})
}

// completeUser completes the names of users.
func (w World) completeUser(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := w.Plane.List(c, string(resource.KindUser))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, r := range all {
		names = append(names, r.GetItem().GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
