package hba

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// faults are matchers that are wrong in one thing each. They may change the rules and the maps.
func faults() map[string]func(*Rules, *Maps) matcher {
	return map[string]func(*Rules, *Maps) matcher{
		"the last rule that fits counts": func(rules *Rules, _ *Maps) matcher {
			return func(q *Request) (last *Rule, err error) {
				for _, rule := range rules.rules {
					if fits, _ := (&Rules{rules: []Rule{rule}}).Match(q); fits != nil {
						last = fits
					}
				}
				return last, nil
			}
		},
		"nobody uses TLS":                  asked(func(q *Request) { q.TLS = false }),
		"a unix socket is an address":      asked(func(q *Request) { q.Local = false }),
		"replication is as any connection": asked(func(q *Request) { q.Replication = false }),
		"the case of users is ignored":     asked(func(q *Request) { q.User = strings.ToLower(q.User) }),
		"nobody is a member":               asked(func(q *Request) { q.Member = func(_, _ string) bool { return false } }),
		"a member is one directly":         asked(func(q *Request) { q.Member = directMember }),
		"a superuser is a member of all": asked(func(q *Request) {
			q.Member = func(user, role string) bool { return user == "boss" || isMember(user, role) }
		}),
		"the machine has no network": asked(func(q *Request) {
			q.Interfaces = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
		}),
		"no address has a name": asked(func(q *Request) { q.HostName = func() string { return "" } }),
		"masks are a bit short": read(func(r *Rule) {
			if a := &r.address; a.kind == network {
				bits, _ := a.mask.Prefix(a.mask.BitLen() - 1)
				a.mask = bits.Addr()
			}
		}),
		"an address is a part of its network": read(func(r *Rule) {
			if a := &r.address; a.kind == network && a.ip != a.ip.Prev().Next() {
				a.mask = maskOf(a.ip.BitLen(), a.ip)
			}
		}),
		"IPv6 has IPv4 in it": read(func(r *Rule) { r.address.ip, r.address.mask = r.address.ip.Unmap(), unmapMask(r.address) }),
		"a quoted keyword is a keyword": read(func(r *Rule) {
			for i := range r.databases {
				if n := &r.databases[i]; n.kind == exact && n.text == "all" {
					n.kind = all
				}
			}
		}),
		"a quoted + is a role": read(func(r *Rule) {
			for i := range r.users {
				if n := &r.users[i]; n.kind == exact && strings.HasPrefix(n.text, "+") {
					n.kind, n.text = member, n.text[1:]
				}
			}
		}),
		"only the first name counts": read(func(r *Rule) { r.users = r.users[:1] }),
		"expressions go by characters": read(func(r *Rule) {
			for i := range r.users {
				if n := &r.users[i]; n.kind == pattern {
					n.re = regexp.MustCompile("^(?:" + strings.Replace(n.text[1:], "^..$", "^.$", 1) + ")")
				}
			}
		}),
		"an expression is the whole name": read(func(r *Rule) {
			for i := range r.databases {
				if n := &r.databases[i]; n.kind == pattern {
					n.re = regexp.MustCompile("^(?:" + n.text[1:] + ")$")
				}
			}
		}),
		"verify-full is verify-ca": read(func(r *Rule) {
			if r.ClientCert == VerifyFull && r.Method == Trust {
				r.ClientCert = VerifyCA
			}
		}),
		"there are no maps":          read(func(r *Rule) { r.Map = "" }),
		"an entry of any map counts": mapped(func(m *mapping) { m.mapName = "m" }),
		"the name of a map is a role of it": mapped(func(m *mapping) {
			if m.databaseUser.kind == exact && m.databaseUser.text == "all" {
				m.databaseUser.kind = all
			}
		}),
		"a group that has nothing is empty": mapped(func(m *mapping) {
			if m.systemUser.text == "/^v(w)?$" {
				m.systemUser.re = regexp.MustCompile("^v(w?)$")
			}
		}),
	}
}

// asked is a matcher that sees the request changed.
func asked(change func(*Request)) func(*Rules, *Maps) matcher {
	return func(rules *Rules, _ *Maps) matcher {
		return func(q *Request) (*Rule, error) {
			changed := *q
			change(&changed)
			return rules.Match(&changed)
		}
	}
}

// read is a matcher that has every rule changed.
func read(change func(*Rule)) func(*Rules, *Maps) matcher {
	return func(rules *Rules, _ *Maps) matcher {
		for i := range rules.rules {
			change(&rules.rules[i])
		}
		return rules.Match
	}
}

// mapped is a matcher that has every entry of the maps changed.
func mapped(change func(*mapping)) func(*Rules, *Maps) matcher {
	return func(rules *Rules, maps *Maps) matcher {
		for i := range maps.entries {
			change(&maps.entries[i])
		}
		return rules.Match
	}
}

func directMember(user, role string) bool {
	for _, of := range memberships()[user] {
		if of == role {
			return true
		}
	}
	return user == role
}

func unmapMask(a address) netip.Addr {
	if a.ip.Is4In6() {
		return maskOf(32, a.ip.Unmap())
	}
	return a.mask
}

// TestPlantedFaults shows that the tables find matchers that are wrong.
func TestPlantedFaults(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			found := 0
			for _, tb := range tables(t) {
				found += len(tb.wrong(t, fault))
			}
			if found == 0 {
				t.Error("no table finds it")
			}
		})
	}
}
