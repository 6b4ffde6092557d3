package desired_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// following is a mirror as package desired sees it.
type following struct{ *mirror.Mirror }

func (f following) Config() (desired.View, bool) {
	v := f.Current()
	return v, v != nil
}

// on makes a Desired on a store, as a control plane that has just started.
func on(t *testing.T, s store.Store) *desired.Desired {
	t.Helper()
	m := mirror.New(mirror.Options{Store: s, Prefix: keyspace.Config, Log: zap.NewNop()})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	if err := m.WaitFor(ctx, 1); err != nil {
		t.Fatal(err)
	}
	return desired.New(desired.Options{Store: s, Mirror: following{m}, MaxBytes: 1 << 20, Log: zap.NewNop(), Now: time.Now})
}

func item(t *testing.T, kind resource.Kind, m resource.Message) *heliosv1.Item {
	t.Helper()
	it, err := release.Encode(kind, m)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// base is a small valid configuration.
func base(t *testing.T) []desired.Change {
	return []desired.Change{
		{Put: item(t, resource.KindCluster, &heliosv1.Cluster{Name: "c"})},
		{Put: item(t, resource.KindNode, &heliosv1.Node{Name: "n", Cluster: "c", Host: "db", Port: 5432, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY})},
		{Put: item(t, resource.KindPoolProfile, profile("p", 10))},
		{Put: item(t, resource.KindDatabase, &heliosv1.Database{Name: "*", Cluster: "c", PoolProfile: "p"})},
	}
}

func profile(name string, max uint32) *heliosv1.PoolProfile {
	return &heliosv1.PoolProfile{Name: name, Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: max}
}

func user(t *testing.T, name, secret string) desired.Change {
	return desired.Change{Put: item(t, resource.KindUser, &heliosv1.User{Name: name, Secret: &heliosv1.Secret{Value: secret}})}
}

var requests int

func write(t *testing.T, d *desired.Desired, r desired.Request) (*desired.Result, error) {
	t.Helper()
	if r.ID == "" {
		requests++
		r.ID = fmt.Sprintf("r%d", requests)
	}
	return d.Write(context.Background(), r)
}

func must(t *testing.T, d *desired.Desired, changes ...desired.Change) *desired.Result {
	t.Helper()
	r, err := write(t, d, desired.Request{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hash(t *testing.T, d *desired.Desired) string {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	return s.Content.Hash()
}

func TestWriteAndRead(t *testing.T) {
	d := on(t, memory.New())
	if r := must(t, d, base(t)...); !r.Changed || r.Revision != 1 || len(r.Effects) != 4 || r.Effects[0].Action != heliosv1.Action_ACTION_CREATED {
		t.Errorf("got %+v", r)
	}
	if r := must(t, d, base(t)...); r.Changed || r.Revision != 1 || r.Effects[0].Action != heliosv1.Action_ACTION_UNCHANGED {
		t.Errorf("the same again: %+v", r)
	}
	r := must(t, d, desired.Change{Put: item(t, resource.KindPoolProfile, profile("p", 20))}, user(t, "u", "pw"))
	if r.Revision != 2 || r.Effects[0].Fields[0] != "max_connections" || r.Effects[1].Action != heliosv1.Action_ACTION_CREATED {
		t.Errorf("got %+v", r)
	}
	s, _ := d.State()
	if p, ok := s.Get(desired.Key{Kind: "PoolProfile", Name: "p"}); !ok || p.GetRevision() != 2 {
		t.Errorf("got %v", p)
	}
	if n, _ := s.Get(desired.Key{Kind: "Node", Name: "n"}); n.GetRevision() != 1 {
		t.Errorf("a resource that nobody has touched is at revision %d", n.GetRevision())
	}
}

// TestRefusals: what is refused changes nothing, and says all that is wrong.
func TestRefusals(t *testing.T) {
	d := on(t, memory.New())
	must(t, d, append(base(t), user(t, "a", "x"), user(t, "b", "y"), user(t, "c", "z"))...)
	before := hash(t, d)
	bad := item(t, resource.KindDatabase, &heliosv1.Database{Name: "shop", Cluster: "nowhere", PoolProfile: "none"})
	huge := item(t, resource.KindUser, &heliosv1.User{Name: "h", Secret: &heliosv1.Secret{Value: strings.Repeat("x", desired.MaxResourceBytes)}})
	kept := item(t, resource.KindUser, &heliosv1.User{Name: "new", Secret: &heliosv1.Secret{Redacted: true}})
	for name, tt := range map[string]struct {
		request desired.Request
		want    []string
		as      any
	}{
		"references": {
			desired.Request{Changes: []desired.Change{{Put: bad}, {Put: item(t, resource.KindPoolProfile, profile("q", 0))}}},
			[]string{`Database "shop": cluster: there is no Cluster "nowhere"`, `Database "shop": pool_profile: there is no PoolProfile "none"`, `PoolProfile "q": max_connections: must be at least 1`},
			new(*desired.InvalidError),
		},
		"twice":        {desired.Request{Changes: []desired.Change{user(t, "a", "1"), user(t, "a", "2")}}, []string{`User "a": is there twice`}, new(*desired.InvalidError)},
		"unknown kind": {desired.Request{Changes: []desired.Change{{Put: &heliosv1.Item{Kind: "Frob", Name: "x"}}}}, []string{`Frob "x": this version does not know the kind`}, new(*desired.InvalidError)},
		"redacted":     {desired.Request{Changes: []desired.Change{{Put: kept}}}, []string{`User "new": secret: is redacted`}, new(*desired.InvalidError)},
		"deleted":      {desired.Request{Changes: []desired.Change{{Delete: &heliosv1.Ref{Kind: "User", Name: "nobody"}}}}, []string{`there is no User "nobody"`}, new(*desired.NotFoundError)},
		"still in use": {desired.Request{AllowDestructive: true, Changes: []desired.Change{{Delete: &heliosv1.Ref{Kind: "PoolProfile", Name: "p"}}}}, []string{`Database "*": pool_profile: there is no PoolProfile "p"`}, new(*desired.InvalidError)},
		"a third":      {desired.Request{Changes: []desired.Change{{Delete: &heliosv1.Ref{Kind: "User", Name: "a"}}}}, []string{"1 of 3 of kind User", "--allow-destructive"}, new(*desired.DestructiveError)},
		"all":          {desired.Request{AllowDestructive: true, ReplaceAll: true}, []string{"nothing would be left"}, new(*desired.InvalidError)},
		"too large":    {desired.Request{Changes: []desired.Change{{Put: huge}}}, []string{`User "h" would have`}, new(*desired.TooLargeError)},
		"conflict":     {desired.Request{Changes: []desired.Change{{Put: user(t, "a", "2").Put, Expected: proto.Uint64(7)}}}, []string{`User "a" is at revision 1 meanwhile`}, new(*desired.ConflictError)},
		"is there":     {desired.Request{Changes: []desired.Change{{Put: user(t, "a", "2").Put, Expected: proto.Uint64(0)}}}, []string{`User "a" is there already`}, new(*desired.ConflictError)},
		"was deleted":  {desired.Request{Changes: []desired.Change{{Put: user(t, "z", "2").Put, Expected: proto.Uint64(3)}}}, []string{`User "z" was deleted meanwhile`}, new(*desired.ConflictError)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := write(t, d, tt.request)
			if !errors.As(err, tt.as) {
				t.Fatalf("got %T %v", err, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("lacks %q: %v", want, err)
				}
			}
			if hash(t, d) != before {
				t.Error("something was changed")
			}
		})
	}
}

// TestSecretIsKept: what was read without its secret and is written back keeps it.
func TestSecretIsKept(t *testing.T) {
	d := on(t, memory.New())
	must(t, d, append(base(t), user(t, "a", "pw"))...)
	before := hash(t, d)
	shown := resource.Redacted(&heliosv1.User{Name: "a", Secret: &heliosv1.Secret{Value: "pw"}})
	if r := must(t, d, desired.Change{Put: item(t, resource.KindUser, shown)}); r.Changed || hash(t, d) != before {
		t.Errorf("got %+v", r)
	}
	shown.(*heliosv1.User).ServerUser = "other"
	if r := must(t, d, desired.Change{Put: item(t, resource.KindUser, shown)}); !r.Changed || len(r.Effects[0].Secrets) != 0 {
		t.Errorf("got %+v", r)
	}
	s, _ := d.State()
	x, _ := s.Get(desired.Key{Kind: "User", Name: "a"})
	if _, m, _ := release.Decode(x.GetItem()); m.(*heliosv1.User).GetSecret().GetValue() != "pw" || m.(*heliosv1.User).GetServerUser() != "other" {
		t.Errorf("got %v", m)
	}
}

// TestOnce: a request that comes again is carried out once.
func TestOnce(t *testing.T) {
	d := on(t, memory.New())
	must(t, d, base(t)...)
	for range 2 {
		if r, err := write(t, d, desired.Request{ID: "once", Changes: []desired.Change{user(t, "a", "1")}}); err != nil || r.Revision != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		must(t, d, user(t, "b", "1"))
	}
	if done, err := d.Outcome(context.Background(), "once"); err != nil || done.GetRevision() != 2 {
		t.Errorf("%v, %v", done, err)
	}
	if done, err := d.Outcome(context.Background(), "never"); err != nil || done != nil {
		t.Errorf("%v, %v", done, err)
	}
	records, err := d.Audit(context.Background(), 10)
	if err != nil || len(records) != 3 || records[0].GetRevision() != 3 || records[1].GetRequestId() != "once" {
		t.Errorf("%v, %v", records, err)
	}
	for _, r := range records {
		if strings.Contains(r.String(), "pw") {
			t.Error("a secret is in an audit record")
		}
	}
}

// dying is a store that stops answering after a number of transactions. The one that it dies of is carried
// out or not, and the answer is lost.
type dying struct {
	store.Store
	left    int
	carried bool
}

func (d *dying) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	if d.left == 0 {
		d.left--
		if d.carried {
			if _, err := d.Store.Commit(ctx, t); err != nil {
				return store.Result{}, err
			}
		}
		return store.Result{}, fmt.Errorf("dead: %w", store.ErrOutcomeUnknown)
	}
	if d.left < 0 {
		return store.Result{}, fmt.Errorf("dead: %w", store.ErrUnavailable)
	}
	d.left--
	return d.Store.Commit(ctx, t)
}

func (d *dying) List(ctx context.Context, r store.Range) (store.Page, error) {
	if d.left < 0 {
		return store.Page{}, fmt.Errorf("dead: %w", store.ErrUnavailable)
	}
	return d.Store.List(ctx, r)
}

// TestWholeOrNot: a write of 300 resources whose control plane dies at any of its transactions is there whole or
// not at all; what was acknowledged is there; and the next control plane goes on.
func TestWholeOrNot(t *testing.T) {
	many := func(secret string) (all []desired.Change) {
		for i := range 300 {
			all = append(all, user(t, fmt.Sprintf("u%03d", i), secret))
		}
		return all
	}
	for _, carried := range []bool{false, true} {
		for after := range 12 {
			s := memory.New()
			first := on(t, s)
			must(t, first, append(base(t), many("old")...)...)
			if err := first.Settle(context.Background()); err != nil {
				t.Fatal(err)
			}
			old := hash(t, first)
			killed := on(t, &dying{Store: s, left: after, carried: carried})
			result, err := write(t, killed, desired.Request{ID: "big", Changes: many("new")})
			if err == nil {
				_ = killed.Settle(context.Background())
			}
			next := on(t, s)
			now := hash(t, next)
			done, outcomeErr := next.Outcome(context.Background(), "big")
			if outcomeErr != nil {
				t.Fatal(outcomeErr)
			}
			switch {
			case err == nil && (now == old || done == nil):
				t.Errorf("dead after %d (%v): acknowledged as revision %d and lost", after, carried, result.Revision)
			case (now != old) != (done != nil):
				t.Errorf("dead after %d (%v): the outcome says %v, and the state is new: %v", after, carried, done, now != old)
			case err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrOutcomeUnknown):
				t.Errorf("dead after %d (%v): %v", after, carried, err)
			case err != nil && !errors.Is(err, store.ErrOutcomeUnknown) && now != old:
				t.Errorf("dead after %d (%v): carried out and said to be not: %v", after, carried, err)
			}
			st, _ := next.State()
			values := map[string]int{}
			for it := range st.Content.Items {
				if it.GetKind() == "User" {
					_, m, _ := release.Decode(it)
					values[m.(*heliosv1.User).GetSecret().GetValue()]++
				}
			}
			if len(values) != 1 {
				t.Errorf("dead after %d (%v): a mixture %v", after, carried, values)
			}
			must(t, next, user(t, "late", "x")) // settles what is staged first
			if now2, _ := next.State(); now2.Content.Len() != 305 {
				t.Errorf("dead after %d (%v): %d resources", after, carried, now2.Content.Len())
			}
		}
	}
}

// meanwhile is a mirror by which something else comes in when it is looked at for the nth time.
type meanwhile struct {
	desired.Mirror
	looks, n int
	comes    func()
}

func (m *meanwhile) Config() (desired.View, bool) {
	if m.looks++; m.looks == m.n {
		m.comes()
	}
	return m.Mirror.Config()
}

// TestLargeWriteMeanwhile: a large write of another control plane that is read in the midst of a write is not lost, whenever that is.
func TestLargeWriteMeanwhile(t *testing.T) {
	for n := 1; ; n++ {
		s := memory.New()
		must(t, on(t, s), base(t)...)
		d, other := on(t, s), on(t, s)
		var large []desired.Change
		for k := range 150 {
			large = append(large, user(t, fmt.Sprintf("large-%d", k), "x"))
		}
		m := &meanwhile{Mirror: d.Mirror, n: n}
		m.comes = func() {
			must(t, other, large...)
			page, err := s.List(context.Background(), store.Range{Prefix: keyspace.ConfigHead})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Mirror.WaitFor(context.Background(), page.Revision); err != nil {
				t.Fatal(err)
			}
		}
		d.Mirror = m
		must(t, d, user(t, "small", "x"))
		must(t, d, user(t, "smaller", "x"))
		if m.looks < n {
			return
		}
		st, _ := on(t, s).State()
		for _, name := range []string{"small", "smaller", "large-0", "large-149"} {
			if _, ok := st.Get(desired.Key{Kind: "User", Name: name}); !ok {
				t.Errorf("at look %d: %s is lost", n, name)
			}
		}
	}
}

// TestWritersAtOnce: writes of several control planes on one store are all carried out, one after the other, and
// never leave an invalid whole.
func TestWritersAtOnce(t *testing.T) {
	s := memory.New()
	must(t, on(t, s), base(t)...)
	const writers, each = 4, 20
	done := make(chan error, writers)
	for w := range writers {
		d := on(t, s)
		go func() {
			for i := range each {
				name := fmt.Sprintf("w%d-%d", w, i)
				changes := []desired.Change{user(t, name, "x")}
				if rand.IntN(4) == 0 {
					for k := range 150 {
						changes = append(changes, user(t, fmt.Sprintf("%s-%d", name, k), "x"))
					}
				}
				if _, err := d.Write(context.Background(), desired.Request{ID: name, Changes: changes}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	d := on(t, s)
	st, _ := d.State()
	if st.Revision != 1+writers*each {
		t.Errorf("revision %d after %d writes", st.Revision, 1+writers*each)
	}
	for w := range writers {
		for i := range each {
			if _, ok := st.Get(desired.Key{Kind: "User", Name: fmt.Sprintf("w%d-%d", w, i)}); !ok {
				t.Errorf("w%d-%d is lost", w, i)
			}
		}
	}
}
