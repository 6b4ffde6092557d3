package snapshot

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// overrides are what a user says in place of the pool profile of his database; what is 0 or nil is not said.
type overrides struct {
	mode          heliosv1.PoolMode
	max           int
	idle, acquire *time.Duration

	query, transaction, idleTransaction, clientIdle *time.Duration
}

func overridesOf(x *heliosv1.PoolOverrides) overrides {
	return overrides{
		mode: x.GetMode(), max: int(x.GetMaxConnections()), idle: optional(x.GetIdleTimeout()), acquire: optional(x.GetAcquireTimeout()),
		query: optional(x.GetQueryTimeout()), transaction: optional(x.GetTransactionTimeout()),
		idleTransaction: optional(x.GetIdleTransactionTimeout()), clientIdle: optional(x.GetClientIdleTimeout()),
	}
}

func optional(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	v := d.AsDuration()
	return &v
}

// apply changes what is the pool's.
func (o *overrides) apply(p *pool.Profile) {
	p.Max = cmp.Or(o.max, p.Max)
	replace(&p.Idle, o.idle)
	replace(&p.Acquire, o.acquire)
}

// limit changes what is a session's.
func (o *overrides) limit(t *Times) {
	replace(&t.Query, o.query)
	replace(&t.Transaction, o.transaction)
	replace(&t.IdleTransaction, o.idleTransaction)
	replace(&t.ClientIdle, o.clientIdle)
}

func replace(at, with *time.Duration) {
	if with != nil {
		*at = *with
	}
}
