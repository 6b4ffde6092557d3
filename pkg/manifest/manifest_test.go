package manifest_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const pool = `apiVersion: helios/v1
kind: PoolProfile
metadata:
  name: web
  revision: 7
spec:
  mode: transaction
  maxConnections: 20
  idleTimeout: 1h
  acquireTimeout: 1m30s
`

func TestRoundTrip(t *testing.T) {
	docs, err := manifest.Parse("f", []byte(pool))
	if err != nil || len(docs) != 1 {
		t.Fatal(docs, err)
	}
	d := docs[0]
	want := &heliosv1.PoolProfile{
		Name: "web", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 20,
		IdleTimeout: durationpb.New(time.Hour), AcquireTimeout: durationpb.New(90 * time.Second),
	}
	if !proto.Equal(d.Message, want) || *d.Revision != 7 || d.Kind != resource.KindPoolProfile || d.Line != 1 {
		t.Errorf("got %+v", d)
	}
	text, err := manifest.YAML(manifest.Node(d.Kind, d.Message, *d.Revision))
	if err != nil || string(text) != pool {
		t.Errorf("got %s, %v", text, err)
	}
	js := manifest.JSON(manifest.Node(d.Kind, d.Message, 7))
	if got := string(js); got != `{"apiVersion":"helios/v1","kind":"PoolProfile","metadata":{"name":"web","revision":7},"spec":{"mode":"transaction","maxConnections":20,"idleTimeout":"1h","acquireTimeout":"1m30s"}}` {
		t.Errorf("got %s", got)
	}
}

// TestEveryKind writes a resource of each kind, in YAML and in JSON, and reads the same again.
func TestEveryKind(t *testing.T) {
	for kind, m := range map[resource.Kind]resource.Message{
		resource.KindCluster:     &heliosv1.Cluster{Name: "true"},
		resource.KindNode:        &heliosv1.Node{Name: "12", Cluster: "c", Host: "::1", Port: 1, Role: heliosv1.NodeRole_NODE_ROLE_STANDBY, Weight: proto.Uint32(0), Enabled: proto.Bool(false), Sync: true},
		resource.KindPoolProfile: &heliosv1.PoolProfile{Name: "a: b #c", IdleTimeout: durationpb.New(0), ConnectTimeout: durationpb.New(1500 * time.Millisecond)},
		resource.KindListener:    &heliosv1.Listener{Name: "l\n\t\"x\"", Address: "unix:/x", Auth: heliosv1.AuthMethod_AUTH_METHOD_SCRAM},
		resource.KindDatabase:    &heliosv1.Database{Name: "*", ServerName: "~"},
		resource.KindUser:        &heliosv1.User{Name: "ü", Secret: &heliosv1.Secret{Redacted: true}, ServerPassword: &heliosv1.Secret{Value: "null"}},
		resource.KindLimits:      &heliosv1.Limits{Name: "default", MaxPreparedBytes: 1 << 63},
		resource.KindResolver:    &heliosv1.Resolver{Name: "default", ResolvConf: "/etc/resolv.conf", MaxTtl: durationpb.New(time.Second)},
		resource.KindConsole:     &heliosv1.Console{Name: "default", AdminUsers: []string{"ann", "null"}, WaitTimeout: durationpb.New(time.Second)},
	} {
		node := manifest.Node(kind, m, 0)
		text, err := manifest.YAML(node)
		if err != nil {
			t.Fatal(err)
		}
		js := manifest.JSON(node)
		if !json.Valid(js) {
			t.Errorf("%s: %s", kind, js)
		}
		for _, written := range []string{string(text), string(js)} {
			docs, err := manifest.Parse("f", []byte(written))
			if err != nil || len(docs) != 1 || docs[0].Kind != kind || !proto.Equal(docs[0].Message, m) {
				t.Errorf("%s: got %v, %v of\n%s", kind, docs, err, written)
			}
		}
	}
	if len(resource.Types()) != 9 {
		t.Error("a kind is not tested")
	}
}

func TestForms(t *testing.T) {
	docs, err := manifest.Parse("f", []byte(`# nothing
---
{"apiVersion": "helios/v1", "kind": "User", "metadata": {"name": "a"}, "spec": {"secret": "pw", "server_user": "b", "serverPassword": {"value": "x"}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: helios/v1, kind: Cluster, metadata: {name: c}}
- {apiVersion: helios/v1, kind: Listener, metadata: {name: l}, spec: {address: "127.0.0.1:1", auth: AUTH_METHOD_TRUST}}
`))
	if err != nil || len(docs) != 3 {
		t.Fatal(docs, err)
	}
	u := docs[0].Message.(*heliosv1.User)
	if u.GetSecret().GetValue() != "pw" || u.GetServerUser() != "b" || u.GetServerPassword().GetValue() != "x" {
		t.Errorf("got %v", u)
	}
	if docs[2].Message.(*heliosv1.Listener).GetAuth() != heliosv1.AuthMethod_AUTH_METHOD_TRUST {
		t.Errorf("got %v", docs[2].Message)
	}
}

// TestJSON: what JSON and YAML read differently is read as JSON.
func TestJSON(t *testing.T) {
	docs, err := manifest.Parse("f", []byte(`{"apiVersion":"helios/v1","kind":"User","metadata":{"name":"\ud83d\ude00","revision":1},"spec":{"secret":"`+"\u0085\ufeff"+`\/","serverUser":null}}
		{"apiVersion": "helios/v1",
		 "kind": "List", "items": []}
		{"apiVersion": "helios/v1", "kind": "Limits", "metadata": {"name": "default"}, "spec": {"maxPreparedBytes": "12"}}`))
	if err != nil || len(docs) != 2 || docs[1].Line != 4 {
		t.Fatal(docs, err)
	}
	if u := docs[0].Message.(*heliosv1.User); u.GetName() != "😀" || u.GetSecret().GetValue() != "\u0085\ufeff/" {
		t.Errorf("got %q", u)
	}
	if l := docs[1].Message.(*heliosv1.Limits); l.GetMaxPreparedBytes() != 12 {
		t.Errorf("got %v", l)
	}
}

// TestProblems: all of a file's are told, with line, path and what was meant.
func TestProblems(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"kind: Cluster\nmetadata: {name: x}", "f:1: apiVersion: missing; it is helios/v1"},
		{"apiVersion: helios/v2\nkind: Cluster\nmetadata: {name: x}", `f:1: apiVersion: "helios/v2" is not helios/v1`},
		{"apiVersion: helios/v1\nkind: PoolProfil\nmetadata: {name: x}", `f:2: kind: "PoolProfil" is no kind; the nearest known one is PoolProfile`},
		{"apiVersion: helios/v1\nkind: Cluster", "f:1: metadata.name: missing"},
		{"apiVersion: helios/v1\nkind: Cluster\nmetadata: {nam: x}", "f:3: metadata.nam: unknown field; the nearest known one is name\nf:3: metadata.name: missing"},
		{
			"apiVersion: helios/v1\nkind: PoolProfile\nmetadata: {name: x}\nspec:\n  maxConection: 1\n  mode: transactoin\n  idleTimeout: 5\n  name: y",
			"f:5: spec.maxConection: unknown field; the nearest known one is maxConnections\n" +
				`f:6: spec.mode: "transactoin" is not one of session, transaction, statement` + "\n" +
				`f:7: spec.idleTimeout: "5" is not a time with its unit, as 30s, 5m or 1h30m` + "\n" +
				"f:8: spec.name: belongs into metadata.name",
		},
		{"apiVersion: helios/v1\nkind: Node\nmetadata: {name: x}\nspec: {port: -1, port: 2, enabled: perhaps}", "f:4: spec.port: is there twice\nf:4: spec.port: \"-1\" is not a whole number from 0 to 4294967295\nf:4: spec.enabled: \"perhaps\" is not true or false"},
		{"apiVersion: helios/v1\nkind: Node\nmetadata: {name: x}\nspec: [1]", "f:4: spec: has to be a mapping"},
		{
			"apiVersion: helios/v1\nkind: User\nmetadata: {name: x}\nspec: {secret: {value: hunter2, redacted: true}, server_user: a, serverUser: }",
			"f:4: spec.secret: either has a value or is redacted\nf:4: spec.serverUser: is there twice",
		},
		{
			"apiVersion: helios/v1\nkind: User\nmetadata: {name: x}\nspec:\n  secret: {hunter2}\n  serverPassword: {redacted: hunter2, hunter2: 1, hunter2: 2}",
			"f:5: spec.secret: has to be a text, or a mapping of value, a text, or of redacted, which is true\n" +
				"f:6: spec.serverPassword: has to be a text, or a mapping of value, a text, or of redacted, which is true",
		},
		{"kind: User\nspec: {secret: *hunter2}", "f:1: a word begins with * and so stands for an anchor, which is not there; a text that begins with * has to be in quotes"},
		{"apiVersion: helios/v1\nkind: Node\nmetadata: {name: [x]}\nspec: {port: 0x10, weight: 010, enabled: 1, role: 1}", "f:3: metadata.name: has to be a word\n" +
			"f:3: metadata.name: missing\n" + `f:4: spec.port: "0x10" is not a whole number from 0 to 4294967295` + "\n" + `f:4: spec.enabled: "1" is not true or false` + "\n" +
			`f:4: spec.role: "1" is not one of primary, standby`},
		{"kind: List\nitems: &a\n- {kind: List, items: *a}", "f:2: items: only a List at the top of a document has items"},
		{"&a\nkind: List\nitems: [*a]", "f:3: items: only a List at the top of a document has items"},
		{"kind: List\nitems: 1", "f:1: items: a List has to have a list of resources"},
		{"kind: Cluster\nitems: []", "f:2: items: only a List at the top of a document has items"},
		{"{\n\"apiVersion\": \"helios/v1\", \"kind\": \"Node\",\n\"metadata\": {\"name\": \"x\"},\n\n\"spec\": {\"port\":\n1.5}}", `f:6: spec.port: "1.5" is not a whole number from 0 to 4294967295`},
		{"{\"kind\": \"Node\"", "f:1: did not find expected ',' or '}'"},
		{"a: [", "f:1: did not find expected node content"},
		{"- 1", "f:1: has to be a mapping"},
	} {
		_, err := manifest.Parse("f", []byte(tt.in))
		var invalid *manifest.InvalidError
		if !errors.As(err, &invalid) || err.Error() != tt.want {
			t.Errorf("%s\ngot  %v\nwant %s", tt.in, err, tt.want)
		}
	}
}
