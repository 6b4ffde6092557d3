package release

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Encode makes an item of a resource: the bytes that it has from then on.
func Encode(kind resource.Kind, m resource.Message) (*heliosv1.Item, error) {
	p, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", kind, m.GetName(), err)
	}
	return &heliosv1.Item{Kind: string(kind), Name: m.GetName(), Payload: p}, nil
}

// Decode makes a resource of an item. The fault says what is wrong with the item.
func Decode(it *heliosv1.Item) (resource.Kind, resource.Message, *heliosv1.Fault) {
	fault := func(reason string) *heliosv1.Fault {
		return &heliosv1.Fault{Kind: it.GetKind(), Name: it.GetName(), Reason: reason}
	}
	t, ok := resource.TypeOf(it.GetKind())
	if !ok {
		return "", nil, fault("this version does not know the kind")
	}
	m := t.New()
	if err := proto.Unmarshal(it.GetPayload(), m); err != nil {
		return "", nil, fault("the payload is no " + it.GetKind())
	}
	if m.GetName() != it.GetName() {
		return "", nil, fault(fmt.Sprintf("the payload is named %q", m.GetName()))
	}
	return t.Kind, m, nil
}

// Set decodes the resources. They are neither completed nor validated. If there are faults there is no set.
func (c *Content) Set() (*resource.Set, []*heliosv1.Fault) {
	s := &resource.Set{}
	var faults []*heliosv1.Fault
	for it := range c.Items {
		kind, m, fault := Decode(it)
		if fault == nil {
			if err := s.Put(kind, m); err != nil {
				fault = &heliosv1.Fault{Kind: it.GetKind(), Name: it.GetName(), Reason: err.Error()}
			}
		}
		if fault != nil {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return s, nil
}

// Faults turns what a set's Validate has found into faults.
func Faults(err *resource.InvalidError) []*heliosv1.Fault {
	faults := make([]*heliosv1.Fault, len(err.Problems))
	for i, p := range err.Problems {
		faults[i] = &heliosv1.Fault{Kind: string(p.Kind), Name: p.Name, Field: p.Field, Reason: p.Reason}
	}
	return faults
}

// Redacted is an item without its secrets. What cannot be decoded is not shown at all.
func Redacted(it *heliosv1.Item) *heliosv1.Item {
	clean, _ := Shown(it)
	return clean
}

// Shown is [Redacted], and what the secrets are that were left out, as [resource.Forms] has it.
func Shown(it *heliosv1.Item) (clean *heliosv1.Item, forms map[string]string) {
	kind, m, fault := Decode(it)
	if fault == nil {
		if clean, err := Encode(kind, resource.Redacted(m)); err == nil {
			return clean, resource.Forms(m)
		}
	}
	return &heliosv1.Item{Kind: it.GetKind(), Name: it.GetName()}, nil
}
