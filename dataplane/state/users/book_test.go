package users

import (
	"fmt"
	"testing"
)

// TestClaim has one at a time ask for a name again whose answer is old, and takes from it what is of use.
func TestClaim(t *testing.T) {
	p, other := Place{Cluster: "a"}, Place{Cluster: "b"}
	was, now := &User{Name: "ann", secret: "old"}, &User{Name: "ann", secret: "new"}
	b := NewBook(9)
	var got string
	note := func(what string, ok bool) { got += fmt.Sprintf(" %s:%v", what, ok) }
	claim := func(p Place, name string, at, since int64) { note("claim", b.Claim(p, name, at, since)) }
	renew := func(k Known) {
		_, ok := b.Renew(p, "ann", k)
		note("renew", ok)
	}
	put := func(asked int64) { b.Put(p, "ann", Known{User: was, Asked: asked}) }
	for _, c := range []struct {
		name string
		do   func()
		want string
		user *User // what is known in the end; nil: nothing is
	}{
		{"nothing is known", func() { claim(p, "ann", 100, 100) }, " claim:false", nil},
		{"it is not old", func() { put(50); claim(p, "ann", 100, 50) }, " claim:false", was},
		{"it is old", func() { put(49); claim(p, "ann", 100, 50) }, " claim:true", was},
		{"one at a time", func() { put(1); claim(p, "ann", 100, 50); claim(p, "ann", 100, 50) }, " claim:true claim:false", was},
		{
			"others are others", func() {
				put(1)
				b.Put(other, "ann", Known{Asked: 1})
				b.Put(p, "bob", Known{Asked: 1})
				claim(p, "ann", 100, 50)
				claim(other, "ann", 100, 50)
				claim(p, "bob", 100, 50)
			}, " claim:true claim:true claim:true", was,
		},
		{"an answer", func() {
			put(1)
			claim(p, "ann", 100, 50)
			renew(Known{User: now, Asked: 100})
			claim(p, "ann", 101, 51)
			claim(p, "ann", 200, 150)
		}, " claim:true renew:true claim:false claim:true", now},
		{"none", func() {
			put(1)
			claim(p, "ann", 100, 50)
			b.Fail(p, "ann", 100)
			claim(p, "ann", 99+rest, 50)
			claim(p, "ann", 100+rest, 50)
		}, " claim:true claim:false claim:true", was},
		{"somebody was faster", func() {
			put(1)
			claim(p, "ann", 100, 50)
			put(101)
			renew(Known{User: now, Asked: 100})
		}, " claim:true renew:false", was},
		{"it was forgotten", func() {
			put(1)
			claim(p, "ann", 100, 50)
			b.Forget("ann")
			renew(Known{User: now, Asked: 100})
			b.Fail(p, "ann", 100)
		}, " claim:true renew:false", nil},
	} {
		b, got = NewBook(9), ""
		c.do()
		k, ok := b.Find(p, "ann", 0)
		if got != c.want || ok != (c.user != nil) || k.User != c.user {
			t.Errorf("%s:%s, want%s; in the end %v is known", c.name, got, c.want, k.User)
		}
	}
}
