package resource_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestEveryKind: a kind is the name of its message, has a map of its own, and is found by each of its names.
func TestEveryKind(t *testing.T) {
	s := &resource.Set{}
	words := map[string]resource.Kind{}
	for _, typ := range resource.Types() {
		m := typ.New()
		if got := string(m.ProtoReflect().Descriptor().FullName()); got != "helios.v1."+string(typ.Kind) {
			t.Errorf("%s is a %s", typ.Kind, got)
		}
		fields := m.ProtoReflect().Descriptor().Fields()
		m.ProtoReflect().Set(fields.ByName("name"), protoreflect.ValueOfString("x"))
		if err := s.Put(typ.Kind, m); err != nil {
			t.Error(err)
		}
		if got, ok := s.Get(typ.Kind, "x"); !ok || got != m {
			t.Errorf("%s: got %v", typ.Kind, got)
		}
		for _, w := range append([]string{string(typ.Kind), typ.Plural, strings.ToUpper(typ.Plural)}, typ.Short...) {
			if got, ok := resource.Lookup(w); !ok || got.Kind != typ.Kind {
				t.Errorf("%s is %v", w, got.Kind)
			}
			if other, taken := words[w]; taken && other != typ.Kind {
				t.Errorf("%s is %s and %s", w, other, typ.Kind)
			}
			words[w] = typ.Kind
		}
	}
	if n := len(resource.Types()); s.Len() != n {
		t.Errorf("%d resources of %d kinds", s.Len(), n)
	}
	var all []resource.Kind
	for kind, m := range s.All {
		all = append(all, kind)
		s.Drop(kind, m.GetName())
	}
	if len(all) != len(resource.Types()) || s.Len() != 0 || s.String() != "" {
		t.Errorf("got %v, %d are left", all, s.Len())
	}
	if s.Put("Frob", &heliosv1.User{}) == nil || s.Put(resource.KindNode, &heliosv1.User{}) == nil {
		t.Error("a message of another kind is taken")
	}
	if _, ok := resource.Lookup("frob"); ok {
		t.Error("frob is a kind")
	}
}

// TestComplete: a set with nothing but what has to be said is valid when it is completed, and what was said stays.
func TestComplete(t *testing.T) {
	s := valid()
	s.Limits = nil
	s.PoolProfiles["p"] = &heliosv1.PoolProfile{Name: "p", Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: 3}
	if s.Validate() == nil {
		t.Fatal("valid before")
	}
	s.Complete()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if p := s.PoolProfiles["p"]; p.GetIdleTimeout().GetSeconds() != 300 || p.GetAcquireTimeout().GetSeconds() != 30 || p.GetConnectTimeout().GetSeconds() != 5 || p.GetMaxConnections() != 3 {
		t.Errorf("got %v", p)
	}
	l := s.Limits["default"]
	l.MaxPreparedStatements = 7
	s.Complete()
	if l.GetMaxPreparedStatements() != 7 || l.GetMaxStatementBytes() != 4<<20 {
		t.Errorf("got %v", l)
	}
}

// TestRedaction: no secret is shown, what was shown can be written back, and what changes is named.
func TestRedaction(t *testing.T) {
	u := &heliosv1.User{Name: "u", Secret: &heliosv1.Secret{Value: "geheim"}, ServerPassword: &heliosv1.Secret{}}
	shown := resource.Redacted(u).(*heliosv1.User)
	if strings.Contains(shown.String(), "geheim") || !shown.GetSecret().GetRedacted() || shown.GetServerPassword().GetRedacted() || u.GetSecret().GetValue() != "geheim" {
		t.Errorf("shown %v of %v", shown, u)
	}
	if missing := resource.Restore(shown, u); missing != nil || !proto.Equal(shown, u) {
		t.Errorf("missing %v, got %v", missing, shown)
	}
	for name, stored := range map[string]resource.Message{"nothing": nil, "without one": &heliosv1.User{Name: "u"}} {
		if missing := resource.Restore(resource.Redacted(u), stored); !slices.Equal(missing, []string{"secret"}) {
			t.Errorf("%s is stored: missing %v", name, missing)
		}
	}
	other := proto.Clone(u).(*heliosv1.User)
	other.Secret.Value, other.ServerPassword = "neu", &heliosv1.Secret{Value: "x"}
	for _, tt := range []struct {
		a, b resource.Message
		want []string
	}{
		{u, u, nil}, {u, other, []string{"secret", "server_password"}}, {nil, u, []string{"secret"}}, {other, &heliosv1.User{}, []string{"secret", "server_password"}},
	} {
		got := resource.ChangedSecrets(tt.a, tt.b)
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
	if resource.Enabled(&heliosv1.Node{Enabled: proto.Bool(false)}) || !resource.Enabled(&heliosv1.Node{}) {
		t.Error("Enabled")
	}
}
