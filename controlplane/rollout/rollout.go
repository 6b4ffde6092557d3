// Package rollout is releases in the store: immutable parts and a manifest each, and one head that says which is the current one. It never makes content: that is compiled from the desired state.
//
// The head's revision in the store is the revision of the generation that proxies are sent. Parts are
// found by the hash of their bytes and shared by the releases that have them in common, so that a small
// change of a large configuration is a small write.
package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// keep is how many releases are kept to go back to.
	keep = 20
	// Parts end behind an item that its hash chooses, so that most stay the same when items come and go.
	minPart, maxPart = 64 << 10, 448 << 10
	partEnds         = 32 // one of so many items
)

// View is the release part of a store at one revision.
type View interface {
	Get(key string) (store.KV, bool)
	Ascend(prefix string, yield func(store.KV) bool)
}

// Options are what a Releases is made with.
type Options struct {
	Store store.Store
	Group keyspace.Group
	// View is the newest view of the group's keys; false before there is one.
	View func() (View, bool)
	Log  *zap.Logger
	Now  func() time.Time
}

// Releases reads and writes the releases of one group. Several goroutines may use it at once.
type Releases struct {
	Options

	mu    sync.Mutex
	parts map[string]*heliosv1.ReleasePart // of the releases that were loaded last, by hash
}

// New makes a Releases.
func New(o Options) *Releases {
	return &Releases{Options: o, parts: map[string]*heliosv1.ReleasePart{}}
}

// ErrNotRead is that the store was not read yet.
var ErrNotRead = fmt.Errorf("the releases were not read yet: %w", store.ErrUnavailable)

// Head is which release is the current one.
type Head struct {
	Number   uint64
	Hash     string
	Revision int64 // of the store; 0 if there is no release
}

func (r *Releases) view() (View, error) {
	if v, ok := r.View(); ok {
		return v, nil
	}
	return nil, ErrNotRead
}

// Head returns the current release as the mirror has it.
func (r *Releases) Head() (Head, error) {
	v, err := r.view()
	if err != nil {
		return Head{}, err
	}
	kv, ok := v.Get(r.Group.Head())
	if !ok {
		return Head{}, nil
	}
	return head(kv)
}

func head(kv store.KV) (Head, error) {
	m := &heliosv1.ReleaseHead{}
	if err := decode(kv, m); err != nil {
		return Head{}, err
	}
	return Head{Number: m.GetNumber(), Hash: m.GetHash(), Revision: kv.Changed}, nil
}

// Again returns the revision in which somebody asked last for what was refused to be sent again.
func (r *Releases) Again() int64 {
	v, err := r.view()
	if err != nil {
		return 0
	}
	kv, _ := v.Get(r.Group.Again())
	return kv.Changed
}

// Retry asks for what was refused to be sent again.
func (r *Releases) Retry(ctx context.Context) error {
	if _, err := r.Store.Commit(ctx, store.Txn{Then: []store.Op{{Key: r.Group.Again()}}}); err != nil {
		return fmt.Errorf("ask for another try: %w", err)
	}
	return nil
}

// List returns the releases that are kept, the newest first.
func (r *Releases) List() ([]*heliosv1.ReleaseManifest, error) {
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	var all []*heliosv1.ReleaseManifest
	v.Ascend(r.Group.Manifests(), func(kv store.KV) bool {
		m := &heliosv1.ReleaseManifest{}
		err = decode(kv, m)
		all = append(all, m)
		return err == nil
	})
	slices.Reverse(all)
	return all, err
}

// Manifest returns that of a release; nil if it is not kept.
func (r *Releases) Manifest(number uint64) (*heliosv1.ReleaseManifest, error) {
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	kv, ok := v.Get(r.Group.Manifest(number))
	if !ok {
		return nil, nil
	}
	m := &heliosv1.ReleaseManifest{}
	return m, decode(kv, m)
}

// Load reads the content of a release.
func (r *Releases) Load(ctx context.Context, m *heliosv1.ReleaseManifest) (*release.Content, error) {
	var items []*heliosv1.Item
	used := map[string]*heliosv1.ReleasePart{}
	for _, hash := range m.GetParts() {
		part, err := r.part(ctx, hash)
		if err != nil {
			return nil, fmt.Errorf("load release %d: %w", m.GetNumber(), err)
		}
		used[hash] = part
		items = append(items, part.GetItems()...)
	}
	c, err := release.New(items)
	if err != nil {
		return nil, fmt.Errorf("load release %d: %w", m.GetNumber(), err)
	}
	if c.Hash() != m.GetHash() {
		return nil, fmt.Errorf("load release %d: its content has the hash %s, not %s", m.GetNumber(), c.Hash(), m.GetHash())
	}
	r.mu.Lock()
	r.parts = used // most of the next one's
	r.mu.Unlock()
	return c, nil
}

func (r *Releases) part(ctx context.Context, hash string) (*heliosv1.ReleasePart, error) {
	r.mu.Lock()
	part := r.parts[hash]
	r.mu.Unlock()
	if part != nil {
		return part, nil
	}
	page, err := r.Store.List(ctx, store.Range{Prefix: r.Group.Part(hash), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.KVs) == 0 {
		return nil, fmt.Errorf("part %s is missing in the store", hash)
	}
	if got := sum(page.KVs[0].Value); got != hash {
		return nil, fmt.Errorf("part %s in the store has the hash %s", hash, got)
	}
	part = &heliosv1.ReleasePart{}
	return part, decode(page.KVs[0], part)
}

// Publish makes content, compiled from a revision of the desired state, the current release. Content that is
// the current release's makes no new one. held is false where somebody else has published meanwhile.
func (r *Releases) Publish(ctx context.Context, c *release.Content, revision uint64) (number uint64, held bool, err error) {
	v, err := r.view()
	if err != nil {
		return 0, false, err
	}
	var now Head
	if kv, ok := v.Get(r.Group.Head()); ok {
		if now, err = head(kv); err != nil {
			return 0, false, err
		}
	}
	if now.Hash == c.Hash() {
		return now.Number, true, nil
	}
	sweep, _ := v.Get(r.Group.Sweep())
	m := &heliosv1.ReleaseManifest{
		Number: now.Number + 1, Revision: revision, Hash: c.Hash(), Created: timestamppb.New(r.Now()),
		Resources: uint32(c.Len()), Bytes: uint64(c.Bytes()),
	}
	if m.Parts, err = r.stage(ctx, c); err != nil {
		return 0, false, fmt.Errorf("publish release %d: %w", m.GetNumber(), err)
	}
	manifest, err := proto.Marshal(m)
	if err != nil {
		return 0, false, err
	}
	pointer, err := proto.Marshal(&heliosv1.ReleaseHead{Number: m.GetNumber(), Hash: c.Hash()})
	if err != nil {
		return 0, false, err
	}
	res, err := r.Store.Commit(ctx, store.Txn{
		If: []store.Condition{{Key: r.Group.Head(), Changed: now.Revision}, {Key: r.Group.Sweep(), Changed: sweep.Changed}},
		Then: []store.Op{
			{Key: r.Group.Manifest(m.GetNumber()), Value: manifest},
			{Key: r.Group.Head(), Value: pointer},
		},
	})
	if err != nil {
		return 0, false, fmt.Errorf("publish release %d: %w", m.GetNumber(), err)
	}
	return m.GetNumber(), res.Held, nil
}

// stage writes the parts of a content that are not there yet and returns the hashes of all.
func (r *Releases) stage(ctx context.Context, c *release.Content) ([]string, error) {
	page, err := r.Store.List(ctx, store.Range{Prefix: r.Group.Parts(), KeysOnly: true})
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, kv := range page.KVs {
		there[kv.Key] = true
	}
	var hashes []string
	for _, part := range split(c) {
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
		if err != nil {
			return nil, err
		}
		hash := sum(value)
		hashes = append(hashes, hash)
		if key := r.Group.Part(hash); !there[key] {
			if _, err := r.Store.Commit(ctx, store.Txn{Then: []store.Op{{Key: key, Value: value}}}); err != nil {
				return nil, err
			}
		}
	}
	return hashes, nil
}

// split cuts a content into parts.
func split(c *release.Content) []*heliosv1.ReleasePart {
	var all []*heliosv1.ReleasePart
	part, n := &heliosv1.ReleasePart{}, 0
	for it := range c.Items {
		s := len(it.GetKind()) + len(it.GetName()) + len(it.GetPayload())
		if n > 0 && n+s > maxPart {
			all, part, n = append(all, part), &heliosv1.ReleasePart{}, 0
		}
		part.Items = append(part.Items, it)
		n += s
		if n >= minPart && sha256.Sum256([]byte(it.GetName()))[0]%partEnds == 0 {
			all, part, n = append(all, part), &heliosv1.ReleasePart{}, 0
		}
	}
	if n > 0 {
		all = append(all, part)
	}
	return all
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func decode(kv store.KV, m proto.Message) error {
	if err := proto.Unmarshal(kv.Value, m); err != nil {
		return fmt.Errorf("%s in the store is no %s: %w", kv.Key, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}
