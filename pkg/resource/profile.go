package resource

import (
	"strings"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func (c *checker) poolProfile(p *heliosv1.PoolProfile) {
	switch p.GetMode() {
	case heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_STATEMENT:
	case heliosv1.PoolMode_POOL_MODE_UNSPECIFIED:
		c.refuse("mode", "missing")
	default:
		c.refuse("mode", "%d is not a pool mode", p.GetMode())
	}
	c.positive("max_connections", uint64(p.GetMaxConnections()))
	c.duration("idle_timeout", p.GetIdleTimeout(), true)
	c.duration("acquire_timeout", p.GetAcquireTimeout(), false)
	c.duration("connect_timeout", p.GetConnectTimeout(), false)
	c.duration("max_lifetime", p.GetMaxLifetime(), true)
	c.duration("reserve_timeout", p.GetReserveTimeout(), true)
	c.duration("login_retry", p.GetLoginRetry(), true)
	c.duration("wait_notice", p.GetWaitNotice(), true)
	c.duration("query_timeout", p.GetQueryTimeout(), true)
	c.duration("transaction_timeout", p.GetTransactionTimeout(), true)
	c.duration("idle_transaction_timeout", p.GetIdleTransactionTimeout(), true)
	c.duration("client_idle_timeout", p.GetClientIdleTimeout(), true)
	if p.GetMinConnections() > p.GetMaxConnections() {
		c.refuse("min_connections", "is more than max_connections, %d", p.GetMaxConnections())
	}
	if _, ok := heliosv1.LeakGuard_name[int32(p.GetLeakGuard())]; !ok {
		c.refuse("leak_guard", "%d is not a leak guard", p.GetLeakGuard())
	}
	if _, ok := heliosv1.Pin_name[int32(p.GetPin())]; !ok {
		c.refuse("pin", "%d is not a way to pin", p.GetPin())
	}
	if _, ok := heliosv1.Listen_name[int32(p.GetListen())]; !ok {
		c.refuse("listen", "%d is not a way to listen", p.GetListen())
	}
	if s := p.GetListenLost(); len(s) > maxPayload || !isPayload(s) {
		c.refuse("listen_lost", "%q is not a payload: at most %d printable ASCII characters", s, maxPayload)
	}
	c.noNUL("connect_query", p.GetConnectQuery())
	for _, name := range p.GetIgnoreStartupParameters() {
		switch name {
		case "", "user", "database", "replication", "options":
			c.refuse("ignore_startup_parameters", "%q cannot be dropped", name)
		}
	}
	for _, f := range p.GetSafeFunctions() {
		if !isFunctionName(f) {
			c.refuse("safe_functions", "%q is not NAME or SCHEMA.NAME", f)
		}
	}
}

// poolOverrides checks what a user says in place of a profile. What is not there is not said.
func (c *checker) poolOverrides(o *heliosv1.PoolOverrides) {
	if _, ok := heliosv1.PoolMode_name[int32(o.GetMode())]; !ok {
		c.refuse("pool.mode", "%d is not a pool mode", o.GetMode())
	}
	c.duration("pool.idle_timeout", o.GetIdleTimeout(), true)
	c.duration("pool.query_timeout", o.GetQueryTimeout(), true)
	c.duration("pool.transaction_timeout", o.GetTransactionTimeout(), true)
	c.duration("pool.idle_transaction_timeout", o.GetIdleTransactionTimeout(), true)
	c.duration("pool.client_idle_timeout", o.GetClientIdleTimeout(), true)
	if o.GetAcquireTimeout() != nil {
		c.duration("pool.acquire_timeout", o.GetAcquireTimeout(), false)
	}
}

// maxPayload is the length of the longest payload of a notification in PostgreSQL.
const maxPayload = 7999

// isPayload says whether every client reads s alike, whatever its encoding is.
func isPayload(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// isFunctionName says whether f is NAME or SCHEMA.NAME.
func isFunctionName(f string) bool {
	schema, name, dotted := strings.Cut(f, ".")
	if !dotted {
		schema, name = "public", f
	}
	return schema != "" && name != "" && !strings.ContainsAny(f, "\x00() ") && !strings.Contains(name, ".")
}
