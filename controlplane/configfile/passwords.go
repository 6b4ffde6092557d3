package configfile

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// passwords is where passwords for servers come from that the keys with the prefix in s say; nil is nowhere. The findings about
// them are about a field of a resource.
func (r *reader) passwords(s *section, prefix string, kind resource.Kind, name, field string) *heliosv1.PasswordSource {
	passfile := strings.TrimSuffix(prefix, "server_") + "passfile" // a user has none
	keys := []string{prefix + "password_command", prefix + "password_file", passfile, prefix + "password_lifetime_secs"}
	i := slices.IndexFunc(keys, s.has)
	if i < 0 {
		return nil
	}
	r.origins[origin{kind, name, field}] = s.at(keys[i])
	r.from(kind, name, s, "", map[string]string{
		field + ".passfile": passfile, field + ".file": prefix + "password_file", field + ".command": prefix + "password_command",
		field + ".lifetime": prefix + "password_lifetime_secs",
	})
	x := &heliosv1.PasswordSource{Passfile: r.path(s.text(passfile)), File: r.path(s.text(prefix + "password_file"))}
	if argv, _ := s.get(prefix + "password_command").([]string); len(argv) > 0 {
		x.Command = r.argv(argv)
	}
	if s.has(prefix + "password_lifetime_secs") {
		x.Lifetime = durationpb.New(seconds(s.int(prefix + "password_lifetime_secs")))
	}
	return x
}

// elsewhere says whether any server's passwords come from elsewhere.
func (r *reader) elsewhere() bool {
	if r.set.Clusters[defaultName].GetPasswords() != nil {
		return true
	}
	for _, n := range r.set.Nodes {
		if n.GetPasswords() != nil {
			return true
		}
	}
	return false
}
