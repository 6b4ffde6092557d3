package backend

import (
	"errors"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Elsewhere makes a secret that finder finds at sources, in their order, when a server asks for one; rest counts where none of them
// has a password for whoever logs in.
func Elsewhere(finder *passwords.Finder, sources []passwords.Source, rest *Secret) *Secret {
	return &Secret{For: rest.For, finder: finder, sources: sources, rest: rest}
}

// Finds says whether the password is one that is found.
func (s *Secret) Finds() bool { return len(s.sources) > 0 }

// same says whether s and o open the same servers. What users of the proxy have besides the sources that they share says nothing
// about that: it is the pool of them all.
func (s *Secret) same(o *Secret) bool {
	if s.password != o.password || !slices.EqualFunc(s.sources, o.sources, passwords.Source.Same) {
		return false
	}
	return !s.Finds() || s.For != o.For || s.rest.same(o.rest)
}

// of is the secret of a password that was found. It stays the same one while the password does, for the sake of its keys.
func (s *Secret) of(password string) *Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.password != password {
		s.last = &Secret{For: s.For, password: password, found: true}
	}
	return s.last
}

// find returns what to log in with: what was found when the server asked first.
func (c *Conn) find(t *reactor.Task) (*Secret, error) {
	if c.proof != nil {
		return c.proof, nil
	}
	var err error
	c.proof, err = c.seek(t, "")
	return c.proof, err
}

// seek looks for the password, outside the loop. refused is one of which the server knows nothing any more.
func (c *Conn) seek(t *reactor.Task, refused string) (*Secret, error) {
	s := c.Target.Secret
	finder, sources := s.finder, s.sources
	to := passwords.Login{Host: c.route.Host, Port: c.route.Port, User: c.Target.User, Database: c.Target.Database}
	type outcome struct {
		password string
		ok       bool
	}
	o, err := reactor.Await(t, func() (outcome, error) {
		password, ok, err := finder.Find(sources, to, refused)
		return outcome{password, ok}, err
	})
	switch {
	case errors.Is(err, reactor.ErrDeadline):
		return nil, pgerr.New(pgerr.ServerPasswordSource, c.Target.Node, to.User, sources[len(sources)-1].String()+": nothing within "+c.Target.Timeout.String()).Because(err)
	case errors.Is(err, reactor.ErrStopped) || t.Killed() != nil:
		return nil, err
	case err != nil:
		return nil, pgerr.New(pgerr.ServerPasswordSource, c.Target.Node, to.User, err.Error()).Because(err)
	case !o.ok:
		return s.rest, nil
	}
	return s.of(o.password), nil
}

// mayRenew says whether the server has refused a password that may have become another one meanwhile.
func (c *Conn) mayRenew(err error) bool {
	var refused *pgwire.ServerError
	return c.proof != nil && c.proof.found && !c.renewed && errors.As(err, &refused) && strings.HasPrefix(refused.SQLState, "28")
}

// renew looks for another password, once; other says that there is one. The error is why there is none: refused, if nothing else.
func (c *Conn) renew(t *reactor.Task, refused error) (other bool, err error) {
	c.renewed = true
	old := c.proof
	now, err := c.seek(t, old.password)
	if err != nil {
		return false, err
	}
	c.proof = now
	if now == old || now.found && now.password == old.password {
		return false, refused
	}
	return true, nil
}
