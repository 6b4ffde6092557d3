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
		id, err := readIdentity(ctx, s)
		if err == nil && id != nil {
			return id, nil
		}
		if err == nil {
			err = makeIdentity(ctx, s)
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

// readIdentity returns nil for a store that has none.
func readIdentity(ctx context.Context, s store.Store) (*heliosv1.StoreIdentity, error) {
	page, err := s.List(ctx, store.Range{Prefix: keyspace.Store})
	if err != nil || len(page.KVs) == 0 {
		return nil, err
	}
	id := &heliosv1.StoreIdentity{}
	if err := proto.Unmarshal(page.KVs[0].Value, id); err != nil {
		return nil, fmt.Errorf("%s is no StoreIdentity: %w", page.KVs[0].Key, err)
	}
	return id, nil
}

func makeIdentity(ctx context.Context, s store.Store) error {
	var b [16]byte
	rand.Read(b[:])
	value, err := proto.Marshal(&heliosv1.StoreIdentity{Id: hex.EncodeToString(b[:]), Epoch: 1})
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: keyspace.Store}},
		Then: []store.Op{{Key: keyspace.Store, Value: value}},
	})
	return err
}
