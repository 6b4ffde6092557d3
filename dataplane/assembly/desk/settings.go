package desk

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// setting is something that SET changes, under PgBouncer's name, until a configuration comes in force again.
type setting struct {
	key  string
	def  string // PgBouncer shows what it would be
	get  func(*heliosv1.Limits, *heliosv1.PoolProfile) string
	put  func(l *heliosv1.Limits, all []*heliosv1.PoolProfile, n int64)
	unit time.Duration // of a time; 0: it is a number
	min  int64
}

// settings are those. What a pool profile says is shown as the profile "default", or the first, says it.
func settings() []setting {
	seconds := func(d *durationpb.Duration) string { return strconv.Itoa(int(d.AsDuration() / time.Second)) }
	number := func(n uint32) string { return strconv.Itoa(int(n)) }
	each := func(set func(*heliosv1.PoolProfile, int64)) func(*heliosv1.Limits, []*heliosv1.PoolProfile, int64) {
		return func(_ *heliosv1.Limits, all []*heliosv1.PoolProfile, n int64) {
			for _, p := range all {
				set(p, n)
			}
		}
	}
	times := func(key, def string, min int64, at func(*heliosv1.PoolProfile) **durationpb.Duration) setting {
		return setting{
			key: key, def: def, min: min, unit: time.Second,
			get: func(_ *heliosv1.Limits, p *heliosv1.PoolProfile) string { return seconds(*at(p)) },
			put: each(func(p *heliosv1.PoolProfile, n int64) { *at(p) = durationpb.New(time.Duration(n)) }),
		}
	}
	counts := func(key, def string, min int64, at func(*heliosv1.PoolProfile) *uint32) setting {
		return setting{
			key: key, def: def, min: min,
			get: func(_ *heliosv1.Limits, p *heliosv1.PoolProfile) string { return number(*at(p)) },
			put: each(func(p *heliosv1.PoolProfile, n int64) { *at(p) = uint32(n) }),
		}
	}
	limits := func(key, def string, min int64, at func(*heliosv1.Limits) *uint32) setting {
		return setting{
			key: key, def: def, min: min,
			get: func(l *heliosv1.Limits, _ *heliosv1.PoolProfile) string { return number(*at(l)) },
			put: func(l *heliosv1.Limits, _ []*heliosv1.PoolProfile, n int64) { *at(l) = uint32(n) },
		}
	}
	return []setting{
		{
			key: "client_login_timeout", def: "30", min: 1, unit: time.Second,
			get: func(l *heliosv1.Limits, _ *heliosv1.PoolProfile) string { return seconds(l.GetLoginTimeout()) },
			put: func(l *heliosv1.Limits, _ []*heliosv1.PoolProfile, n int64) {
				l.LoginTimeout = durationpb.New(time.Duration(n))
			},
		},
		times("client_idle_timeout", "0", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.ClientIdleTimeout }),
		counts("default_pool_size", "100", 1, func(p *heliosv1.PoolProfile) *uint32 { return &p.MaxConnections }),
		times("idle_transaction_timeout", "0", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.IdleTransactionTimeout }),
		limits("max_client_conn", "0", 0, func(l *heliosv1.Limits) *uint32 { return &l.MaxClients }),
		limits("max_db_client_connections", "0", 0, func(l *heliosv1.Limits) *uint32 { return &l.MaxClientsPerDatabase }),
		limits("max_db_connections", "0", 0, func(l *heliosv1.Limits) *uint32 { return &l.MaxServerConnectionsPerDatabase }),
		limits("max_prepared_statements", "100", 1, func(l *heliosv1.Limits) *uint32 { return &l.MaxPreparedPerServer }),
		limits("max_user_client_connections", "0", 0, func(l *heliosv1.Limits) *uint32 { return &l.MaxClientsPerUser }),
		limits("max_user_connections", "0", 0, func(l *heliosv1.Limits) *uint32 { return &l.MaxServerConnectionsPerUser }),
		counts("min_pool_size", "0", 0, func(p *heliosv1.PoolProfile) *uint32 { return &p.MinConnections }),
		times("query_timeout", "0", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.QueryTimeout }),
		times("query_wait_notify", "0", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.WaitNotice }),
		times("query_wait_timeout", "30", 1, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.AcquireTimeout }),
		counts("reserve_pool_size", "0", 0, func(p *heliosv1.PoolProfile) *uint32 { return &p.ReserveConnections }),
		times("reserve_pool_timeout", "5", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.ReserveTimeout }),
		times("server_connect_timeout", "5", 1, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.ConnectTimeout }),
		times("server_idle_timeout", "300", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.IdleTimeout }),
		times("server_lifetime", "3600", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.MaxLifetime }),
		times("server_login_retry", "1", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.LoginRetry }),
		times("transaction_timeout", "0", 0, func(p *heliosv1.PoolProfile) **durationpb.Duration { return &p.TransactionTimeout }),
	}
}

// Settings implements [console.Desk].
func (d *Desk) Settings() []console.Setting {
	set := Overridden(d.o.Configuration.Shown())
	var all []console.Setting
	for _, s := range settings() {
		all = append(all, console.Setting{Key: s.key, Value: s.get(set.Limits[resource.LimitsName], usual(set)), Default: s.def, Changeable: true})
	}
	all = append(all, d.levels()...)
	p := usual(set)
	for key, v := range map[string]string{
		"pool_mode": modeName(p.GetMode()), "console_wait_timeout": fmt.Sprint(int(set.Consoles[resource.ConsoleName].GetWaitTimeout().AsDuration() / time.Second)),
	} {
		all = append(all, console.Setting{Key: key, Value: v, Default: v})
	}
	slices.SortFunc(all, func(a, b console.Setting) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return all
}

func modeName(m heliosv1.PoolMode) string {
	return map[heliosv1.PoolMode]string{
		heliosv1.PoolMode_POOL_MODE_SESSION: "session", heliosv1.PoolMode_POOL_MODE_TRANSACTION: "transaction", heliosv1.PoolMode_POOL_MODE_STATEMENT: "statement",
	}[m]
}

// usual is the pool profile that is shown for all.
func usual(set *resource.Set) *heliosv1.PoolProfile {
	if p := set.PoolProfiles["default"]; p != nil {
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(set.PoolProfiles)) {
		return set.PoolProfiles[name]
	}
	return &heliosv1.PoolProfile{}
}

// Set implements [console.Desk].
func (d *Desk) Set(key, value string) error {
	if key == logLevel || key == verbose {
		return d.setLevel(key, value)
	}
	s, n, err := read(key, value)
	if err != nil {
		return err
	}
	if err := d.o.Configuration.Override(s.key, strconv.FormatInt(n, 10)); err != nil {
		return err
	}
	d.told("SET "+key, "")
	return nil
}

// read reads a value of SET: a number, or a time in seconds or with a unit.
func read(key, value string) (s setting, n int64, err error) {
	i := slices.IndexFunc(settings(), func(s setting) bool { return s.key == key })
	if i < 0 {
		return s, 0, pgerr.New(pgerr.ConsoleSetting, key, "SHOW CONFIG lists what can be set here; the rest is said by the configuration")
	}
	s = settings()[i]
	n, err = strconv.ParseInt(value, 10, 32)
	if s.unit > 0 {
		if err == nil {
			n *= int64(s.unit)
		} else if d, e := time.ParseDuration(value); e == nil {
			n, err = int64(d), nil
		}
	}
	if err != nil || n < s.min*max(1, int64(s.unit)) || n < 0 {
		return s, 0, pgerr.New(pgerr.ConsoleSetting, key, fmt.Sprintf("%q is not a number from %d on", value, s.min))
	}
	return s, n, nil
}

// Overridden is a configuration, or what there is without one, with what was set on the console: in each pool profile that says the same as
// the one that is shown. The configuration itself stays as it is.
func Overridden(set *resource.Set, overrides map[string]string) *resource.Set {
	if set == nil {
		set = &resource.Set{}
		set.Complete()
	}
	if len(overrides) == 0 {
		return set
	}
	with := *set
	l := proto.Clone(set.Limits[resource.LimitsName]).(*heliosv1.Limits)
	with.Limits = map[string]*heliosv1.Limits{resource.LimitsName: l}
	with.PoolProfiles = map[string]*heliosv1.PoolProfile{}
	for name, x := range set.PoolProfiles {
		with.PoolProfiles[name] = proto.Clone(x).(*heliosv1.PoolProfile)
	}
	for _, s := range settings() {
		v, ok := overrides[s.key]
		if !ok {
			continue
		}
		n, _ := strconv.ParseInt(v, 10, 64)
		var profiles []*heliosv1.PoolProfile
		for name, x := range set.PoolProfiles {
			if s.get(l, x) == s.get(l, usual(set)) { // another one says so itself
				profiles = append(profiles, with.PoolProfiles[name])
			}
		}
		s.put(l, profiles, n)
	}
	return &with
}
