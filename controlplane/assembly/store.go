package assembly

import (
	"context"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/embedded"
	"github.com/heliosproxy/heliosproxy/controlplane/store/etcd"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/pkg/bearer"
)

// Memory is a store that ends with the process.
func Memory() store.Store { return memory.New() }

// OpenStore opens the store of a control plane that stands by itself: etcd at the endpoints, or without any in
// the process, under the data directory.
func OpenStore(ctx context.Context, dataDir string, endpoints []string, log *zap.Logger) (store.Store, error) {
	if len(endpoints) > 0 {
		return etcd.Open(etcd.Options{Endpoints: endpoints, Log: log})
	}
	return embedded.Open(ctx, embedded.Options{Dir: filepath.Join(dataDir, "store"), Log: log})
}

// The files under the data directory that tokens are kept in.
const (
	AdminTokenFile = "admin.token"
	NodeTokenFile  = "node.token"
)

// Tokens returns the tokens of a data directory, which it makes where they are not there.
func Tokens(dataDir string) (admin, node string, err error) {
	if admin, err = bearer.Make(filepath.Join(dataDir, AdminTokenFile)); err != nil {
		return "", "", fmt.Errorf("data directory: %w", err)
	}
	if node, err = bearer.Make(filepath.Join(dataDir, NodeTokenFile)); err != nil {
		return "", "", fmt.Errorf("data directory: %w", err)
	}
	return admin, node, nil
}
