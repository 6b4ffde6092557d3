package serve

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// welcomeConsole lets a client into the admin console that may use it.
func (c *Conn) welcomeConsole(verdict []byte) error {
	c.trusted = c.login.exchange.Trusted()
	rights := c.rights(c.snap)
	if rights == console.None {
		return pgerr.New(pgerr.ConsoleClosed, c.name)
	}
	c.hub.Clients.Exempt(&c.place, c.address())
	c.SetDeadline(0)
	c.console = console.New(c.hub.Console, rights)
	c.hub.Log.Info(rights.Who()+" has come", zap.Stringer("peer", c.peer), zap.String("user", c.name))
	if rest := c.login.startup.Rest(); len(rest) > 0 {
		c.console.Feed(rest)
		c.more = true
	}
	var params []settings.Pair
	for _, p := range console.Parameters() {
		params = append(params, settings.Pair{Name: p[0], Value: p[1]})
	}
	return c.greetWith(verdict, params, 0)
}

// rights are what the client may do on the console under a configuration.
func (c *Conn) rights(snap *snapshot.Snapshot) console.Rights {
	x := &snap.Console
	switch {
	case slices.Contains(x.Admins, c.name):
		return console.Everything
	case slices.Contains(x.Lookers, c.name):
		return console.Look
	case len(x.Admins)+len(x.Lookers) == 0 && c.trusted && c.near():
		return console.Everything
	}
	return console.None
}

// administer is the walk of a client of the console.
func (c *Conn) administer(t *reactor.Task) error {
	for {
		if err := t.Killed(); err != nil {
			return err
		}
		if snap := c.hub.Current(); snap != c.snap {
			if c.rights(snap) != c.rights(c.snap) {
				return pgerr.New(pgerr.Removed, "user "+c.name+"'s right to the console")
			}
			c.snap = snap
		}
		if !c.more {
			if !c.ep.Readable() {
				return c.ep.Fault()
			}
			p, err := c.ep.TryRecv()
			if err != nil {
				return errors.Join(errGone, err)
			}
			if p == nil {
				continue
			}
			c.console.Feed(p)
		}
		c.more = false
		for {
			answer, job, err := c.console.Next()
			if len(answer) > 0 {
				if err := c.ep.Send(answer); err != nil {
					return errors.Join(errGone, err)
				}
			}
			if err != nil {
				return err
			}
			if job == nil {
				break
			}
			if err := c.runJob(t, job); err != nil {
				return err
			}
			c.console.Done(job)
		}
	}
}

// runJob runs a command of the console outside the loop. A client that is gone or cancels ends it.
func (c *Conn) runJob(t *reactor.Task, job *console.Job) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.waiting, c.canceled = true, false
	defer func() { c.waiting = false }()
	gone := func() error {
		if c.canceled {
			cancel()
		}
		if c.ep.HungUp() {
			return errGone
		}
		return nil
	}
	_, err := reactor.AwaitWhile(t, gone, func() (struct{}, error) { job.Run(ctx); return struct{}{}, nil })
	return err
}
