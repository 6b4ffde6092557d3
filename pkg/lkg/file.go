package lkg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// magic is how a file begins; the last byte is the version of the format.
const magic = "HELIOSLKG\x01"

// Entry is what a file holds.
type Entry struct {
	StoreID    string
	Group      string
	Generation *heliosv1.Generation
	Content    *release.Content
}

// ErrDamaged is that a file is not what was written.
var ErrDamaged = errors.New("the file is damaged")

// encode is the bytes of a file: magic, SHA-256 of all that follows, the length of all that follows (8 bytes,
// big-endian), then each with its length (varint): store, group, generation, hash of the content, items.
func encode(e Entry) ([]byte, error) {
	generation, err := proto.Marshal(e.Generation)
	if err != nil {
		return nil, fmt.Errorf("encode generation: %w", err)
	}
	var body []byte
	for _, field := range [][]byte{[]byte(e.StoreID), []byte(e.Group), generation, []byte(e.Content.Hash())} {
		body = protowire.AppendBytes(body, field)
	}
	for it := range e.Content.Items {
		b, err := proto.Marshal(it)
		if err != nil {
			return nil, fmt.Errorf("encode %s %q: %w", it.GetKind(), it.GetName(), err)
		}
		body = protowire.AppendBytes(body, b)
	}
	tail := append(binary.BigEndian.AppendUint64(nil, uint64(len(body))), body...)
	sum := sha256.Sum256(tail)
	return bytes.Join([][]byte{[]byte(magic), sum[:], tail}, nil), nil
}

// decode reads what encode has written, and nothing else.
func decode(b []byte) (Entry, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < sha256.Size+8 {
		return Entry{}, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	sum, tail := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(tail); !bytes.Equal(got[:], sum) {
		return Entry{}, fmt.Errorf("%w: its checksum does not hold", ErrDamaged)
	}
	body := tail[8:]
	if binary.BigEndian.Uint64(tail) != uint64(len(body)) {
		return Entry{}, fmt.Errorf("%w: its length does not hold", ErrDamaged)
	}
	next := func() ([]byte, error) {
		if len(body) == 0 {
			return nil, io.EOF
		}
		f, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, fmt.Errorf("%w: %v", ErrDamaged, protowire.ParseError(n))
		}
		body = body[n:]
		return f, nil
	}
	var head [4][]byte
	for i := range head {
		var err error
		if head[i], err = next(); err != nil {
			return Entry{}, fmt.Errorf("%w: it ends early", ErrDamaged)
		}
	}
	e := Entry{StoreID: string(head[0]), Group: string(head[1]), Generation: &heliosv1.Generation{}}
	if err := proto.Unmarshal(head[2], e.Generation); err != nil {
		return Entry{}, fmt.Errorf("%w: generation: %v", ErrDamaged, err)
	}
	var items []*heliosv1.Item
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Entry{}, err
		}
		it := &heliosv1.Item{}
		if err := proto.Unmarshal(f, it); err != nil {
			return Entry{}, fmt.Errorf("%w: item: %v", ErrDamaged, err)
		}
		items = append(items, it)
	}
	var err error
	if e.Content, err = release.New(items); err != nil {
		return Entry{}, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if e.Content.Hash() != string(head[3]) {
		return Entry{}, fmt.Errorf("%w: its content has the hash %s, not %s", ErrDamaged, e.Content.Hash(), head[3])
	}
	return e, nil
}
