package manifest

import (
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestFields writes and reads what no kind of today has: lists, mappings, messages in messages, signed numbers.
func TestFields(t *testing.T) {
	m := &heliosv1.FleetNode{
		NodeId: "n", State: heliosv1.NodeState_NODE_STATE_LAST_KNOWN_GOOD, Generation: &heliosv1.Generation{Epoch: 1, Revision: -2},
		Since: &timestamppb.Timestamp{Seconds: -5, Nanos: 7}, Connected: true, Warnings: []string{"null", "a"},
		Listeners: map[string]string{"b": "~", "a": "1"},
		Rejection: &heliosv1.Rejection{Faults: []*heliosv1.Fault{{Kind: "Node"}, {}}},
	}
	const want = `nodeId: n
state: last-known-good
generation:
  epoch: 1
  revision: -2
since:
  seconds: -5
  nanos: 7
connected: true
rejection:
  faults:
    - kind: Node
    - {}
warnings:
  - "null"
  - a
listeners:
  a: "1"
  b: "~"
`
	text, err := YAML(write(m.ProtoReflect(), false))
	if err != nil || string(text) != want {
		t.Fatalf("got %s, %v", text, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	p, back := &parser{}, &heliosv1.FleetNode{}
	if p.message(doc.Content[0], "", back.ProtoReflect()); len(p.problems) > 0 || !proto.Equal(back, m) {
		t.Errorf("got %v, %v", back, p.problems)
	}
}

func TestFieldProblems(t *testing.T) {
	const text = `{warnings: a, listeners: [a], generation: {epoch: -1, revison: 1}, since: {nanos: 2147483648}, rejection: {faults: [{kind: {}}, 1]}, state: offlin}`
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	p := &parser{file: "f"}
	p.message(doc.Content[0], "", (&heliosv1.FleetNode{}).ProtoReflect())
	const want = `f:1: warnings: has to be a list
f:1: listeners: has to be a mapping
f:1: generation.epoch: "-1" is not a whole number from 0 on
f:1: generation.revison: unknown field; the nearest known one is revision
f:1: since.nanos: "2147483648" is not a whole number from -2147483648 to 2147483647
f:1: rejection.faults[0].kind: has to be a single value
f:1: rejection.faults[1]: has to be a mapping
f:1: state: "offlin" is not one of synced, pending, nacked, stale, last-known-good, offline`
	if _, err := p.result(); err == nil || err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}
