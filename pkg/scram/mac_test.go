package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
)

// TestMAC is crypto/hmac, for keys and messages of any length, without allocating.
func TestMAC(t *testing.T) {
	for _, k := range []int{0, 1, 32, 63, 64, 65, 200} {
		for _, m := range []int{0, 1, 55, 64, 300, 959, 960, 961, 5000} {
			key, message := bytes.Repeat([]byte{0xa5}, k), strings.Repeat("m", m)
			h := hmac.New(sha256.New, key)
			h.Write([]byte(message))
			if got := mac(key, message); !bytes.Equal(got[:], h.Sum(nil)) {
				t.Errorf("key of %d bytes, message of %d: %x", k, m, got)
			}
		}
	}
	key, message := make([]byte, 32), strings.Repeat("m", 300)
	if n := testing.AllocsPerRun(100, func() { mac(key, message) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
