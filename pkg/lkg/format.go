package lkg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// A file is, numbers big-endian:
//
//	magic          8 bytes, "HELIOLKG"
//	format version uint32
//	epoch          uint64
//	revision       int64
//	store id       uint32 length, then the bytes
//	group          uint32 length, then the bytes
//	mock secret    uint32 length, then the bytes; not in version 1
//	payload length uint64
//	sha256         32 bytes, of everything before it and of the payload
//	payload        each item: uint32 length, then the serialised Item
//
// Nothing follows the payload.
const (
	magic   = "HELIOLKG"
	version = 2
	oldest  = 1 // that is still read
)

// Entry is a configuration with where it came from. Content is shared and not changed.
type Entry struct {
	StoreID    string
	Generation *heliosv1.Generation
	Group      string
	MockSecret string // what the salts of users are made from who are not there; empty in old files
	Content    *release.Content
}

// encode makes the bytes of a file.
func encode(e Entry) ([]byte, error) {
	var payload []byte
	for it := range e.Content.Items {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(it)
		if err != nil {
			return nil, fmt.Errorf("encode %s %q: %w", it.GetKind(), it.GetName(), err)
		}
		if len(b) > math.MaxUint32 {
			return nil, fmt.Errorf("encode %s %q: %d bytes are too many", it.GetKind(), it.GetName(), len(b))
		}
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(b)))
		payload = append(payload, b...)
	}
	return seal(e, payload), nil
}

// seal puts the header before a payload.
func seal(e Entry, payload []byte) []byte {
	f := append(make([]byte, 0, len(payload)+256), magic...)
	f = binary.BigEndian.AppendUint32(f, version)
	f = binary.BigEndian.AppendUint64(f, e.Generation.GetEpoch())
	f = binary.BigEndian.AppendUint64(f, uint64(e.Generation.GetRevision()))
	for _, s := range []string{e.StoreID, e.Group, e.MockSecret} {
		f = binary.BigEndian.AppendUint32(f, uint32(len(s)))
		f = append(f, s...)
	}
	f = binary.BigEndian.AppendUint64(f, uint64(len(payload)))
	sum := digest(f, payload)
	f = append(f, sum[:]...)
	return append(f, payload...)
}

func digest(header, payload []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(header)
	h.Write(payload)
	h.Sum(sum[:0])
	return sum
}

// decode reads the bytes of a file. What it returns does not alias them.
func decode(f []byte) (Entry, error) {
	r := reader{rest: f}
	if m := r.take(len(magic)); r.short || string(m) != magic {
		return Entry{}, errors.New("is no last-known-good file")
	}
	v := r.uint32()
	if !r.short && (v < oldest || v > version) {
		return Entry{}, fmt.Errorf("has format version %d, this program reads versions %d to %d", v, oldest, version)
	}
	g := &heliosv1.Generation{Epoch: r.uint64(), Revision: int64(r.uint64())}
	storeID := string(r.take(int(r.uint32())))
	group := string(r.take(int(r.uint32())))
	mock := ""
	if v >= 2 {
		mock = string(r.take(int(r.uint32())))
	}
	length := r.uint64()
	header := f[:len(f)-len(r.rest)]
	sum := r.take(sha256.Size)
	if r.short || uint64(len(r.rest)) != length {
		return Entry{}, fmt.Errorf("is not complete, or has more than it should: %d bytes", len(f))
	}
	if want := digest(header, r.rest); !bytes.Equal(sum, want[:]) {
		return Entry{}, errors.New("is damaged: its hash is wrong")
	}
	c, err := content(r.rest)
	if err != nil {
		return Entry{}, err
	}
	return Entry{StoreID: storeID, Generation: g, Group: group, MockSecret: mock, Content: c}, nil
}

// content reads the payload.
func content(payload []byte) (*release.Content, error) {
	r := reader{rest: payload}
	var items []*heliosv1.Item
	for len(r.rest) > 0 {
		b := r.take(int(r.uint32()))
		if r.short {
			return nil, fmt.Errorf("item %d is cut off", len(items))
		}
		it := &heliosv1.Item{}
		if err := proto.Unmarshal(b, it); err != nil {
			return nil, fmt.Errorf("item %d: %w", len(items), err)
		}
		items = append(items, it)
	}
	return release.New(items)
}

// reader takes numbers and bytes off the front; short is set, for good, when there was less than asked for.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || n < 0 || n > len(r.rest) {
		r.short = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
