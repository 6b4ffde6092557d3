package desired

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// MaxResourceBytes bounds one resource. It fits into a chunk of the config stream, and into a transaction.
const MaxResourceBytes = 512 << 10

// destructive is the share of a kind that may be removed without a word, in percent.
const destructive = 30

// Change is what is to happen to one resource.
type Change struct {
	Put      *heliosv1.Item // or
	Delete   *heliosv1.Ref
	Expected *uint64 // the revision that the resource has to be at; 0: it must not be there; nil: any
}

func (c Change) key() Key {
	if c.Put != nil {
		return Key{c.Put.GetKind(), c.Put.GetName()}
	}
	return Key{c.Delete.GetKind(), c.Delete.GetName()}
}

// Effect is what a write does to one resource. The items hold secrets.
type Effect struct {
	Key
	Action        heliosv1.Action
	Before, After *heliosv1.StoredResource // nil where there is none
	Secrets       []string                 // the fields whose secrets change
	Fields        []string                 // the fields that change
}

// plan is what a write would do to a state.
type plan struct {
	effects    []Effect // of the changes, in their order
	difference release.Difference
	content    *release.Content
}

// plan works out what the request does to the state, and whether it may.
func (d *Desired) plan(s *State, r Request) (*plan, error) {
	p := &plan{}
	revision := s.Revision + 1
	changes, faults := r.Changes, []*heliosv1.Fault(nil)
	if r.ReplaceAll {
		changes = slices.Concat(changes, absent(s, changes))
	}
	seen := map[Key]bool{}
	for _, c := range changes {
		k := c.key()
		if seen[k] {
			faults = append(faults, &heliosv1.Fault{Kind: k.Kind, Name: k.Name, Reason: "is there twice"})
			continue
		}
		seen[k] = true
		before, _ := s.Get(k)
		if c.Expected != nil && *c.Expected != before.GetRevision() {
			return nil, &ConflictError{Key: k, Expected: *c.Expected, Current: before}
		}
		if c.Put == nil {
			if before == nil {
				return nil, &NotFoundError{What: fmt.Sprintf("%s %q", k.Kind, k.Name)}
			}
			p.effects = append(p.effects, Effect{Key: k, Action: heliosv1.Action_ACTION_DELETED, Before: before})
			p.difference.Removes = append(p.difference.Removes, c.Delete)
			continue
		}
		e, fs := put(k, c.Put, before, revision)
		if faults = append(faults, fs...); len(fs) > 0 {
			continue
		}
		if n := len(e.After.GetItem().GetPayload()); n > MaxResourceBytes {
			return nil, &TooLargeError{What: fmt.Sprintf("%s %q", k.Kind, k.Name), Bytes: n, Limit: MaxResourceBytes}
		}
		p.effects = append(p.effects, e)
		if e.Action != heliosv1.Action_ACTION_UNCHANGED {
			p.difference.Upserts = append(p.difference.Upserts, e.After.GetItem())
		}
	}
	return p, d.judge(s, r, p, faults)
}

// absent are deletions of what the changes do not name.
func absent(s *State, changes []Change) []Change {
	named := map[Key]bool{}
	for _, c := range changes {
		named[c.key()] = true
	}
	var all []Change
	for it := range s.Content.Items {
		if !named[Key{it.GetKind(), it.GetName()}] {
			all = append(all, Change{Delete: &heliosv1.Ref{Kind: it.GetKind(), Name: it.GetName()}})
		}
	}
	return all
}

// put works out what writing an item does. Secrets that are redacted keep the value that is stored.
func put(k Key, it *heliosv1.Item, before *heliosv1.StoredResource, revision uint64) (Effect, []*heliosv1.Fault) {
	kind, m, fault := release.Decode(it)
	if fault != nil {
		return Effect{}, []*heliosv1.Fault{fault}
	}
	var old resource.Message
	if before != nil {
		_, old, _ = release.Decode(before.GetItem()) // what is stored was valid once; nil takes it for absent
	}
	var faults []*heliosv1.Fault
	for _, field := range resource.Restore(m, old) {
		faults = append(faults, &heliosv1.Fault{Kind: k.Kind, Name: k.Name, Field: field, Reason: "is redacted, and there is no stored value that it could keep"})
	}
	e := Effect{Key: k, Action: heliosv1.Action_ACTION_UPDATED, Before: before}
	encoded, err := release.Encode(kind, m)
	if err != nil {
		faults = append(faults, &heliosv1.Fault{Kind: k.Kind, Name: k.Name, Reason: err.Error()})
		return e, faults
	}
	e.After = &heliosv1.StoredResource{Item: encoded, Revision: revision}
	switch {
	case before == nil:
		e.Action = heliosv1.Action_ACTION_CREATED
	case old != nil && proto.Equal(m, old):
		e.Action, e.After = heliosv1.Action_ACTION_UNCHANGED, before
	default:
		e.Secrets, e.Fields = resource.ChangedSecrets(old, m), changedFields(old, m)
	}
	return e, faults
}

// changedFields are the names of the fields in which two resources differ.
func changedFields(a, b resource.Message) []string {
	if a == nil {
		return nil
	}
	var names []string
	x, y := a.ProtoReflect(), b.ProtoReflect()
	fields := x.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if x.Has(fd) != y.Has(fd) || !x.Get(fd).Equal(y.Get(fd)) {
			names = append(names, string(fd.Name()))
		}
	}
	return names
}

// judge says whether the state that the plan leads to may be.
func (d *Desired) judge(s *State, r Request, p *plan, faults []*heliosv1.Fault) error {
	next := s.Content
	if len(faults) == 0 || !p.difference.Empty() {
		var err error
		if next, err = s.Content.With(p.difference); err != nil {
			return err
		}
	}
	set, undecoded := next.Set()
	faults = append(faults, undecoded...)
	if set != nil {
		set.Complete()
		var invalid *resource.InvalidError
		if err := set.Validate(); errors.As(err, &invalid) {
			faults = append(faults, release.Faults(invalid)...)
		}
	}
	if len(faults) > 0 {
		return &InvalidError{dedup(faults)}
	}
	p.content = next
	if p.difference.Empty() {
		return nil
	}
	if next.Len() == 0 {
		return &InvalidError{[]*heliosv1.Fault{{Reason: "nothing would be left: proxies refuse an empty configuration"}}}
	}
	if next.Bytes() > d.MaxBytes && next.Bytes() > s.Content.Bytes() {
		return &TooLargeError{What: "the configuration", Bytes: next.Bytes(), Limit: d.MaxBytes, Setting: "--max-config-bytes"}
	}
	if removals := removals(s.Content, p.difference.Removes); len(removals) > 0 && !r.AllowDestructive {
		return &DestructiveError{removals}
	}
	return nil
}

// dedup drops faults that say the same: an item that was refused alone may be missed by others.
func dedup(faults []*heliosv1.Fault) []*heliosv1.Fault {
	seen := map[string]bool{}
	return slices.DeleteFunc(faults, func(f *heliosv1.Fault) bool {
		k := strings.Join([]string{f.GetKind(), f.GetName(), f.GetField(), f.GetReason()}, "\x00")
		again := seen[k]
		seen[k] = true
		return again
	})
}

// removals are the kinds of which too much would go.
func removals(before *release.Content, removes []*heliosv1.Ref) []*heliosv1.Removal {
	of, gone := map[string]uint32{}, map[string]uint32{}
	for it := range before.Items {
		of[it.GetKind()]++
	}
	for _, r := range removes {
		gone[r.GetKind()]++
	}
	var all []*heliosv1.Removal
	for _, t := range resource.Types() {
		k := string(t.Kind)
		if gone[k]*100 > of[k]*destructive {
			all = append(all, &heliosv1.Removal{Kind: k, Removed: gone[k], Of: of[k]})
		}
	}
	return all
}
