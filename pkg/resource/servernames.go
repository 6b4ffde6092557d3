package resource

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// KnownAs is the name that clients ask for to get a Database.
func KnownAs(d *heliosv1.Database) string { return cmp.Or(d.GetKnownAs(), d.GetName()) }

// FoldServerName is a host name as it is compared: in lower case, without a dot at its end. There is no allocation where it is so already.
func FoldServerName(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// WildcardOf is the server name that fits name and all that differ from it in their first label alone; empty if there is none.
func WildcardOf(name string) string {
	if _, rest, ok := strings.Cut(name, "."); ok && rest != "" {
		return "*." + rest
	}
	return ""
}

// checkServerName says why name is none that a client could tell.
func checkServerName(name string) error {
	name = FoldServerName(name)
	host := strings.TrimPrefix(name, "*.")
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("is an address, and clients tell names only")
	}
	if len(host) > 253 {
		return errors.New("is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errors.New(`is neither a host name nor "*." and one`)
		}
	}
	return nil
}

// serverNames checks that each name is one.
func (c *checker) serverNames(d *heliosv1.Database) {
	c.noNUL("known_as", d.GetKnownAs())
	for _, name := range d.GetServerNames() {
		if err := checkServerName(name); err != nil {
			c.refuse("server_names", "%q %s", name, err)
		}
	}
}

// knownTwice checks that what a client asks for and its server name lead to one Database at most.
func (c *checker) knownTwice() {
	type asked struct{ name, server string }
	taken := map[asked]string{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Databases)) {
		d := c.set.Databases[name]
		if d == nil {
			continue
		}
		c.kind, c.name = KindDatabase, name
		servers := d.GetServerNames()
		if len(servers) == 0 {
			servers = []string{""}
		}
		for _, server := range servers {
			at := asked{KnownAs(d), FoldServerName(server)}
			other, ok := taken[at]
			switch {
			case !ok:
				taken[at] = name
			case other == name:
				c.refuse("server_names", "%q is there twice", server)
			case server != "":
				c.refuse("server_names", "database %q is known as %q at %q too", other, at.name, server)
			default:
				c.refuse("known_as", "database %q is known as %q too, and neither has server_names to tell them apart", other, at.name)
			}
		}
	}
}
