package assembly

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// identifyPause is the pause before a store that is not there is asked again.
const identifyPause = time.Second

// identify returns the store's identity, which it makes for a new one. While the store is not there nobody
// is served: an empty answer would be taken for an empty configuration.
func identify(ctx context.Context, s store.Store, log *zap.Logger) (*heliosv1.StoreIdentity, error) {
	for {
		id, changed, err := readIdentity(ctx, s)
		if err == nil && id.GetMockSecret() != "" {
			return id, nil
		}
		if err == nil {
			err = makeIdentity(ctx, s, id, changed)
			if err == nil {
				continue // read it: somebody else may have been faster
			}
		}
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrOutcomeUnknown) {
			return nil, fmt.Errorf("store: %w", err)
		}
		log.Warn("waiting for the store", zap.String("store", s.Name()), zap.Error(err))
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), fmt.Errorf("store: %w", err))
		case <-time.After(identifyPause):
		}
	}
}

// readIdentity returns nil for a store that has none, and the revision in which it was changed last.
func readIdentity(ctx context.Context, s store.Store) (id *heliosv1.StoreIdentity, changed int64, err error) {
	page, err := s.List(ctx, store.Range{Prefix: keyspace.Store})
	if err != nil || len(page.KVs) == 0 {
		return nil, 0, err
	}
	id = &heliosv1.StoreIdentity{}
	if err := proto.Unmarshal(page.KVs[0].Value, id); err != nil {
		return nil, 0, fmt.Errorf("%s is no StoreIdentity: %w", page.KVs[0].Key, err)
	}
	return id, page.KVs[0].Changed, nil
}

// makeIdentity makes what have lacks, which is nil for a new store.
func makeIdentity(ctx context.Context, s store.Store, have *heliosv1.StoreIdentity, changed int64) error {
	if have == nil {
		have = &heliosv1.StoreIdentity{Id: random(), Epoch: 1}
	}
	have.MockSecret = random() + random()
	value, err := proto.Marshal(have)
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: keyspace.Store, Changed: changed}},
		Then: []store.Op{{Key: keyspace.Store, Value: value}},
	})
	return err
}

// random returns 128 random bits in hex.
func random() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
