package desk

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// known refuses a database that is not there.
func (d *Desk) known(db string) error {
	if snap := d.o.Hub.Current(); db != gate.All && !snap.Known(db) {
		return pgerr.New(pgerr.ConsoleDatabase, db)
	}
	return nil
}

// told logs what an administrator has had done.
func (d *Desk) told(what, db string) {
	d.o.Log.Info("an administrator's command", zap.String("command", what), zap.String("database", db))
}

// concerns says whether clients of a database are meant by what is said of db.
func concerns(db, of string) bool { return db == gate.All || db == of }

// Pause implements [console.Desk].
func (d *Desk) Pause(ctx context.Context, db string) (err error) {
	if err := d.known(db); err != nil {
		return err
	}
	d.told("PAUSE", db)
	if db == gate.All {
		defer d.tell(&d.paused)(&err)
	}
	return d.hold(ctx, "PAUSE", db, func() (int, string) {
		leases, pinned := 0, 0
		d.eachConn(func(c *serve.Conn) {
			if concerns(db, c.Database()) && c.Lease() != nil {
				leases++
				if !c.InTransaction() {
					pinned++
				}
			}
		})
		conns := d.closeHeld(db)
		return leases + conns, fmt.Sprintf("%d clients have a server connection, %d of them without a transaction; %d server connections are open", leases, pinned, conns)
	})
}

// hold lets the clients of a database wait until nothing is left of what busy counts. If it gives up they go on, unless they had been
// held before.
func (d *Desk) hold(ctx context.Context, what, db string, busy func() (n int, words string)) error {
	isNew := d.o.Hub.Gates.Hold(db)
	d.wakeHeld()
	err := d.await(ctx, what, func() (bool, string, error) {
		if !d.holds(db) {
			return false, "", pgerr.New(pgerr.ConsoleResumed, what)
		}
		n, words := busy()
		return n == 0, words, nil
	})
	if err != nil && isNew {
		d.release(db)
	}
	return err
}

// tell says that a command holds all clients, from its beginning on. If it comes to nothing that is as it was before.
func (d *Desk) tell(holds *atomic.Bool) (end func(err *error)) {
	before := holds.Swap(true)
	return func(err *error) {
		if *err != nil {
			holds.Store(before && d.holds(gate.All))
		}
	}
}

// holds says whether a database is held, or all.
func (d *Desk) holds(db string) bool {
	if db == gate.All {
		all, _ := d.o.Hub.Gates.Held()
		return all
	}
	return d.o.Hub.Gates.Holds(db)
}

// closeHeld closes the connections of pools whose clients are all held, and those by which their users are looked up, and returns how many there
// are still for a database's, those that read its catalogue included.
func (d *Desk) closeHeld(db string) (left int) {
	d.o.Hub.Pools.Each(func(pl *pool.Pool) {
		meant := db == gate.All
		for _, a := range d.o.Hub.Pools.Aliases(pl) {
			if !d.o.Hub.Gates.Holds(a.Database) {
				return
			}
			meant = meant || a.Database == db
		}
		pl.Hold(true)
		if n, _ := pl.Total(); n > 0 {
			pl.Recycle()
			if meant {
				left += n
			}
		}
		if meant {
			left += d.o.Readers(pl)
		}
	})
	return left + d.o.Inquirers(db)
}

// release lets clients go on.
func (d *Desk) release(db string) {
	d.o.Hub.Gates.Release(db)
	d.o.Hub.Pools.Each(func(pl *pool.Pool) {
		for _, a := range d.o.Hub.Pools.Aliases(pl) {
			if !d.o.Hub.Gates.Holds(a.Database) {
				pl.Hold(false)
				return
			}
		}
	})
	d.wakeHeld()
}

// wakeHeld lets connections see that databases are held that were not, or no more.
func (d *Desk) wakeHeld() {
	d.eachConn(func(c *serve.Conn) { c.Held() })
}

// await looks again and again until done, for as long as commands of the console may wait and ctx lets it.
func (d *Desk) await(ctx context.Context, what string, look func() (done bool, words string, err error)) error {
	limit := d.o.Hub.Current().Console.Wait
	if end, ok := ctx.Deadline(); ok && (limit <= 0 || time.Until(end) < limit) {
		limit = time.Until(end).Round(10 * time.Millisecond) // who asks has less patience
	} else if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		done, words, err := look()
		if err != nil || done {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return pgerr.New(pgerr.ConsoleTimeout, what, limit, words)
			}
			return pgerr.New(pgerr.Canceled)
		}
	}
}

// Suspend implements [console.Desk].
func (d *Desk) Suspend(ctx context.Context) (err error) {
	d.told("SUSPEND", gate.All)
	defer d.tell(&d.suspended)(&err)
	return d.hold(ctx, "SUSPEND", gate.All, func() (int, string) {
		n := 0
		d.eachConn(func(c *serve.Conn) {
			if c.InTransaction() {
				n++
			}
		})
		return n, fmt.Sprintf("%d clients have a transaction open", n)
	})
}

// Resume implements [console.Desk].
func (d *Desk) Resume(db string) error {
	_, held := d.o.Hub.Gates.Held()
	if err := d.known(db); err != nil && !slices.Contains(held, db) { // it may be gone since it was held
		return err
	}
	d.told("RESUME", db)
	if db == gate.All {
		d.suspended.Store(false)
		d.paused.Store(false)
	}
	d.release(db)
	return nil
}

// Disable implements [console.Desk].
func (d *Desk) Disable(db string, disable bool) error {
	if err := d.known(db); err != nil {
		return err
	}
	if disable {
		d.told("DISABLE", db)
	} else {
		d.told("ENABLE", db)
	}
	d.o.Hub.Gates.Disable(db, disable)
	return nil
}

// Kill implements [console.Desk].
func (d *Desk) Kill(ctx context.Context, db string) error {
	if err := d.known(db); err != nil {
		return err
	}
	d.told("KILL", db)
	d.o.Hub.Gates.Hold(db)
	killed := time.Now()
	d.eachConn(func(c *serve.Conn) {
		if concerns(db, c.Database()) && !c.Administers() && c.Pool() != nil {
			c.EndByAdmin()
		}
	})
	d.wakeHeld()
	return d.await(ctx, "KILL", func() (bool, string, error) {
		if !d.holds(db) {
			return true, "", nil // resumed meanwhile: all who were there are told to end
		}
		clients := 0
		d.eachConn(func(c *serve.Conn) {
			if concerns(db, c.Database()) && c.Lease() != nil && c.CameBefore(killed) {
				clients++
			}
		})
		conns := d.closeHeld(db)
		return clients+conns == 0, fmt.Sprintf("%d clients and %d server connections are left", clients, conns), nil
	})
}

// KillClient implements [console.Desk].
func (d *Desk) KillClient(id uint64) error {
	found := false
	d.eachConn(func(c *serve.Conn) {
		if c.ID() == id && !c.Administers() {
			found = true
			c.EndByAdmin()
		}
	})
	if !found {
		return pgerr.New(pgerr.ConsoleClient, id)
	}
	d.told("KILL_CLIENT", "")
	return nil
}

// eachPool calls yield for the pools of a database's clients.
func (d *Desk) eachPool(db string, yield func(*pool.Pool)) {
	d.o.Hub.Pools.Each(func(pl *pool.Pool) {
		for _, a := range d.o.Hub.Pools.Aliases(pl) {
			if concerns(db, a.Database) {
				yield(pl)
				return
			}
		}
	})
}

// Reconnect implements [console.Desk].
func (d *Desk) Reconnect(db string) error {
	if err := d.known(db); err != nil {
		return err
	}
	d.told("RECONNECT", db)
	d.eachPool(db, (*pool.Pool).Recycle)
	return nil
}

// WaitClose implements [console.Desk].
func (d *Desk) WaitClose(ctx context.Context, db string) error {
	if err := d.known(db); err != nil {
		return err
	}
	return d.await(ctx, "WAIT_CLOSE", func() (bool, string, error) {
		n := 0
		d.eachPool(db, func(pl *pool.Pool) {
			for _, l := range d.o.Group.Loops() {
				l.PostWait(func() {
					pl.Each(l, func(s *backend.Conn) {
						if pl.Closing(s) {
							n++
						}
					})
				})
			}
		})
		return n == 0, fmt.Sprintf("%d server connections are to be closed", n), nil
	})
}

// Reload implements [console.Desk].
func (d *Desk) Reload(ctx context.Context) error {
	if d.o.Reload == nil {
		return pgerr.New(pgerr.ConsoleElsewhere, "RELOAD", "a control plane sends it what is new")
	}
	d.told("RELOAD", gate.All)
	return d.o.Reload(ctx)
}

// Shutdown implements [console.Desk].
func (d *Desk) Shutdown(how console.Shutdown) error {
	if d.o.Shutdown == nil {
		return pgerr.New(pgerr.ConsoleElsewhere, "SHUTDOWN", "it is part of another program")
	}
	d.told("SHUTDOWN", gate.All)
	d.o.Shutdown(how)
	return nil
}
