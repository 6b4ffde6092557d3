package lkg_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// fault says what is wrong with how a decoder reads bytes; nil if nothing is. What it takes is all of the
// bytes, and what it makes of them is what a file of the same would hold.
func fault(decode func([]byte) (lkg.Entry, error), b []byte) error {
	e, err := decode(b)
	if err != nil {
		return nil
	}
	for n := range len(b) {
		if _, err := decode(b[:n]); err == nil {
			return fmt.Errorf("%d of %d bytes are taken for a file", n, len(b))
		}
	}
	again, err := lkg.Encode(e)
	if err != nil {
		return err
	}
	if back, err := decode(again); err != nil || !same(back, e) {
		return fmt.Errorf("what was read is not what is read when it was written again: %w", err)
	}
	return nil
}

func FuzzDecode(f *testing.F) {
	whole, err := lkg.Encode(entry(f, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:40])
	f.Add([]byte("HELIOLKG\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := fault(lkg.Decode, b); err != nil {
			t.Error(err)
		}
	})
}

// FuzzPayload gives the decoder files whose hash is right, so that what is in them is looked at.
func FuzzPayload(f *testing.F) {
	var payload []byte
	for it := range entry(f, 1).Content.Items {
		b, err := proto.Marshal(it)
		if err != nil {
			f.Fatal(err)
		}
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(b)))
		payload = append(payload, b...)
	}
	f.Add(payload, uint64(1), int64(2), "store")
	f.Add(append(payload, payload...), uint64(1), int64(-1), "")
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint64(0), int64(0), "s")
	f.Fuzz(func(t *testing.T, payload []byte, epoch uint64, revision int64, store string) {
		e := lkg.Entry{StoreID: store, Group: "g", Generation: &heliosv1.Generation{Epoch: epoch, Revision: revision}}
		if err := fault(lkg.Decode, lkg.Sealed(e, payload)); err != nil {
			t.Error(err)
		}
	})
}

// TestPlantedFaults shows that the fuzz targets would notice decoders that are wrong, already with their seeds.
func TestPlantedFaults(t *testing.T) {
	whole, err := lkg.Encode(entry(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, decode := range map[string]func([]byte) (lkg.Entry, error){
		"takes a file that is cut off": func(b []byte) (lkg.Entry, error) {
			if len(b) > len(whole)/2 {
				return lkg.Decode(whole)
			}
			return lkg.Decode(b)
		},
		"confuses epoch and revision": func(b []byte) (lkg.Entry, error) {
			e, err := lkg.Decode(b)
			if err == nil {
				e.Generation.Epoch, e.Generation.Revision = uint64(e.Generation.GetRevision()), int64(e.Generation.GetEpoch())
			}
			return e, err
		},
		"loses the store": func(b []byte) (lkg.Entry, error) {
			e, err := lkg.Decode(b)
			e.StoreID += "x"
			return e, err
		},
	} {
		if fault(decode, whole) == nil {
			t.Errorf("a decoder that %s is not found", name)
		}
	}
	if err := fault(lkg.Decode, whole); err != nil {
		t.Error(err)
	}
}
