package assembly

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// Replace makes a set the desired state, whatever that was: a file is the source of truth. It returns the hash
// of the content that proxies will be sent. A set that is the desired state already is sent again to those
// that have refused it.
func (c *ControlPlane) Replace(ctx context.Context, set *resource.Set, source string) (hash string, err error) {
	if err := c.config.WaitFor(ctx, 1); err != nil {
		return "", err
	}
	var id [16]byte
	rand.Read(id[:])
	r := desired.Request{
		ID: hex.EncodeToString(id[:]), Actor: source, Message: "the file was read", AllowDestructive: true, ReplaceAll: true,
	}
	for kind, m := range set.All {
		it, err := release.Encode(kind, m)
		if err != nil {
			return "", err
		}
		r.Changes = append(r.Changes, desired.Change{Put: it})
	}
	result, err := c.desired.Write(ctx, r)
	if err != nil {
		return "", err
	}
	if !result.Changed {
		if err := c.releases.Retry(ctx); err != nil {
			return "", err
		}
	}
	s, err := c.desired.State()
	if err != nil {
		return "", fmt.Errorf("read what was written: %w", err)
	}
	return s.Content.Hash(), nil
}
