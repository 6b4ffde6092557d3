package account

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func (w World) listCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use:   "list",
		Short: "List the users, with what is stored of their passwords and how servers are opened for them",
		Long: `List the users. SECRET is what is stored of the password: a verifier (scram), an md5 hash (md5), the password itself, or none.
AT SERVERS is what the proxy logs in with: the user's own secret, what the client proves, a password that the user has for
servers, or what a file or a program says. Who is looked up in a database is not here: helioctl auth cache shows whom a proxy knows.`,
		Args: exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml", "name"); err != nil {
				return err
			}
			all, err := w.Plane.List(c, string(resource.KindUser))
			if err != nil {
				return err
			}
			return w.show(all, o)
		},
	}
	o.Register(c, "json", "yaml", "name")
	return c
}

func (w World) show(all []*heliosv1.Resource, o output.Format) error {
	rows, items := [][]string{{"NAME", "SECRET", "SERVER USER", "AT SERVERS", "MAX CLIENTS", "REVISION"}}, []any{}
	for _, r := range all {
		u, err := decode(r)
		if err != nil {
			return err
		}
		stored, opens := form(u.GetSecret(), r.GetSecrets()["secret"]), atServers(u, r.GetSecrets())
		if u.GetLookedUp() {
			stored = "looked up"
		}
		if o.Word == "name" {
			fmt.Fprintf(w.Out, "user/%s\n", u.GetName())
			continue
		}
		most := "-"
		if n := u.GetMaxClients(); n > 0 {
			most = fmt.Sprint(n)
		}
		rows = append(rows, []string{u.GetName(), stored, dash(u.GetServerUser()), dash(opens), most, fmt.Sprint(r.GetRevision())})
		items = append(items, output.Object("name", u.GetName(), "secret", stored, "serverUser", u.GetServerUser(), "atServers", opens,
			"maxClients", u.GetMaxClients(), "revision", r.GetRevision()))
	}
	switch {
	case o.Word == "name":
		return nil
	case o.Word != "":
		return o.Print(w.Out, items)
	case len(items) == 0:
		_, err := fmt.Fprintln(w.Err, "There are no users: helioctl user add NAME adds one.")
		return err
	}
	return table.Print(w.Out, rows)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// form is what a secret is that is not shown: a control plane of before says only that there is one.
func form(s *heliosv1.Secret, said string) string {
	switch {
	case said != "":
		return said
	case s.GetRedacted():
		return "(set)"
	}
	return resource.SecretNone.String()
}

// atServers says what the proxy logs in with at servers for a user; empty if it has nothing of its own.
func atServers(u *heliosv1.User, forms map[string]string) string {
	switch p := u.GetServerPasswords(); {
	case p.GetPassfile() != "":
		return "passfile"
	case p.GetFile() != "":
		return "file"
	case len(p.GetCommand()) > 0:
		return "command"
	}
	if s := form(u.GetServerPassword(), forms["server_password"]); s != resource.SecretNone.String() {
		return "own " + s
	}
	other := u.GetServerUser() != "" && u.GetServerUser() != u.GetName()
	switch s := form(u.GetSecret(), forms["secret"]); {
	case s == resource.SecretNone.String():
		return ""
	case other && (s == resource.SecretSCRAM.String() || s == resource.SecretMD5.String()):
		return "" // both are of one name alone
	case s == resource.SecretSCRAM.String():
		return "client's proof"
	default:
		return s
	}
}
