package peers

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// file is what is kept on disk, by its name in the state directory.
const file = "peers"

// Files are where small things are kept that a start needs. What is kept under a name is there as a whole or not at all.
type Files interface {
	Keep(name string, b []byte) error
	Kept(name string) ([]byte, error)
}

// Restore takes over what was kept when the process ran last, and keeps what comes from now on. Peers of another group are nobody's.
func (p *Peers) Restore(files Files, group string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files, p.group = files, group
	b, err := files.Kept(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var said *heliosv1.Peers
	if err == nil {
		said, err = decode(group, b)
	}
	if err == nil {
		err = p.use(said)
	}
	if err != nil {
		p.o.Log.Error("who the other proxies are was not kept in order", zap.Error(err))
	}
}

// The file is a line "heliosproxy peers 1", the sha256 of the rest, the name of the group, a newline and the serialised Peers.
const head = "heliosproxy peers 1\n"

// encode makes the bytes of the file.
func encode(group string, said *heliosv1.Peers) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(said)
	if err != nil {
		panic(fmt.Sprintf("peers that came as a message are none: %v", err))
	}
	rest := append([]byte(group+"\n"), b...)
	sum := sha256.Sum256(rest)
	return append(append([]byte(head), sum[:]...), rest...)
}

// decode reads the bytes of the file.
func decode(group string, b []byte) (*heliosv1.Peers, error) {
	rest, ok := bytes.CutPrefix(b, []byte(head))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("the file is none of peers, or of another version")
	}
	sum, rest := [sha256.Size]byte(rest), rest[sha256.Size:]
	if sum != sha256.Sum256(rest) {
		return nil, errors.New("the file is damaged: its hash is wrong")
	}
	of, rest, _ := bytes.Cut(rest, []byte("\n"))
	if string(of) != group {
		return nil, fmt.Errorf("the file is of group %q, this proxy is of group %q", of, group)
	}
	said := &heliosv1.Peers{}
	if err := proto.Unmarshal(rest, said); err != nil {
		return nil, fmt.Errorf("the file is damaged: %w", err)
	}
	return said, nil
}
