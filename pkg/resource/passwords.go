package resource

import (
	"path/filepath"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// passwordLifetime is how long what a command printed is good, unless set.
const passwordLifetime = 10 * time.Minute

// Passwords are the places where a password is looked for, of those that are not nil, in their order: what stands behind a place that
// has a password for everybody is never come to, and left out.
func Passwords(from ...*heliosv1.PasswordSource) []passwords.Source {
	var all []passwords.Source
	for _, x := range from {
		if x == nil {
			continue
		}
		s := passwords.Source{Passfile: x.GetPassfile(), File: x.GetFile(), Command: x.GetCommand()}
		if len(s.Command) > 0 {
			if s.Lifetime = passwordLifetime; x.GetLifetime() != nil {
				s.Lifetime = x.GetLifetime().AsDuration()
			}
		}
		all = append(all, s)
		if !s.FallsOn() {
			break
		}
	}
	return all
}

// passwords says what is wrong with a source of passwords, which a field is.
func (c *checker) passwords(field string, x *heliosv1.PasswordSource) {
	if x == nil {
		return
	}
	set := 0
	path := func(field, path string) {
		if path == "" {
			return
		}
		set++
		c.noNUL(field, path)
		if !filepath.IsAbs(path) {
			c.refuse(field, "%q is not an absolute path", path)
		}
	}
	path(field+".passfile", x.GetPassfile())
	path(field+".file", x.GetFile())
	if argv := x.GetCommand(); len(argv) > 0 {
		set++
		c.argv(field+".command", argv)
	}
	if set != 1 {
		c.refuse(field, "one of passfile, file and command must be set, not %s", [...]string{"none", "", "two", "three"}[set])
	}
	if x.GetLifetime() != nil {
		if len(x.GetCommand()) == 0 {
			c.refuse(field+".lifetime", "is of what a command prints, and there is none")
		}
		c.duration(field+".lifetime", x.GetLifetime(), false)
	}
}
