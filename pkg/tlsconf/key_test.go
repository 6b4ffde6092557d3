package tlsconf

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestEncryptedKeys opens what the program openssl makes.
func TestEncryptedKeys(t *testing.T) {
	const right, wrong = "s\u00e9same", "sesame"
	pair := certs.NewAuthority(t).Client("alice")
	d := newDir(t)
	plain := d.write("plain.key", pair.Key)
	tests := map[string][]string{
		"default":     {"pkcs8", "-topk8"},
		"aes128":      {"pkcs8", "-topk8", "-v2", "aes-128-cbc"},
		"aes192":      {"pkcs8", "-topk8", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA384"},
		"3des":        {"pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"},
		"sha224":      {"pkcs8", "-topk8", "-v2", "aes256", "-v2prf", "hmacWithSHA224"},
		"sha512":      {"pkcs8", "-topk8", "-v2", "aes256", "-v2prf", "hmacWithSHA512", "-iter", "10"},
		"traditional": {"ec", "-aes256"},
		"old 3des":    {"ec", "-des3"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := openssl(t, d, name, append(args, "-in", plain, "-passout", "pass:"+right)...)
			key, err := openKey(file, right)
			must(t, err)
			if _, err := keyPair(pair.Cert, key); err != nil {
				t.Error(err)
			}
			if _, err := openKey(file, wrong); err == nil || !strings.Contains(err.Error(), "password may be wrong") {
				t.Errorf("with a wrong password: %v", err)
			}
			if _, err := openKey(file, ""); err == nil || err.Error() != "it is encrypted, and there is no password" {
				t.Errorf("without a password: %v", err)
			}
		})
	}
	for want, args := range map[string][]string{
		"its key is derived by 1.3.6.1.4.1.11591.4.11: only PBKDF2 is known":     {"-scrypt"},
		"it is encrypted by scheme 1.2.840.113549.1.12.1.3: only PBES2 is known": {"-v1", "PBE-SHA1-3DES"},
		"it is encrypted by the unknown cipher 1.2.392.200011.61.1.1.1.4":        {"-v2", "camellia256"},
		"its key is derived with the unknown function 1.2.840.113549.2.13":       {"-v2", "aes256", "-v2prf", "hmacWithSHA512-256"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			file := openssl(t, d, strings.Join(args, ""), append(append([]string{"pkcs8", "-topk8"}, args...), "-in", plain, "-passout", "pass:"+right)...)
			if _, err := openKey(file, right); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// TestCostlyKey is one that would keep a CPU busy.
func TestCostlyKey(t *testing.T) {
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		must(t, err)
		return asn1.RawValue{FullBytes: der}
	}
	var info encryptedPrivateKeyInfo
	var scheme pbes2Params
	var kdf pbkdf2Params
	must(t, unmarshal(encryptedKeys()[0], &info))
	must(t, unmarshal(info.Algorithm.Parameters.FullBytes, &scheme))
	must(t, unmarshal(scheme.KDF.Parameters.FullBytes, &kdf))
	for _, n := range []int{-1, 0, maxKeyIterations + 1} {
		kdf.Iterations = n
		scheme.KDF.Parameters = marshal(kdf)
		info.Algorithm.Parameters = marshal(scheme)
		want := fmt.Sprintf("it asks for %d iterations of PBKDF2: at most 10000000 are done", n)
		if _, err := decryptPKCS8(marshal(info).FullBytes, "sesame"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestMalformedKeys cuts a key at every byte, and changes every one.
func TestMalformedKeys(t *testing.T) {
	der := encryptedKeys()[0]
	for n := range der {
		if _, err := decryptPKCS8(der[:n], "sesame"); err == nil || !strings.HasPrefix(err.Error(), "it is malformed") {
			t.Errorf("%d bytes of %d: %v", n, len(der), err)
		}
		changed := bytes.Clone(der)
		changed[n] ^= 1
		if fault := keyFault(changed, decryptPKCS8); fault != "" {
			t.Errorf("byte %d changed: %s", n, fault)
		}
	}
}

func openssl(t *testing.T, d dir, name string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(d.path, name+".out")
	if text, err := exec.Command("openssl", append(args, "-out", out)...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", args, err, text)
	}
	content, err := os.ReadFile(out)
	must(t, err)
	return content
}

// encryptedKeys are two small ones that the password sesame opens, DER.
func encryptedKeys() (out [][]byte) {
	for _, text := range []string{
		`MIGaMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAht0ZkbCFNTbQIBAjAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQbv3D2yX+cK21pvYShNyUFQRANNTU` +
			`AIDj9Uslhhjcdae9XqzDbLRin9GD65OIgWIvvmAsL3F2S3H5iL1iBwlLf6lm40y4YfhxCzdCF2ju1a8OPg==`, // AES-256, SHA-256
		`MHswPwYJKoZIhvcNAQUNMDIwGgYJKoZIhvcNAQUMMA0ECNiMANck0POrAgECMBQGCCqGSIb3DQMHBAh+x4HTt85IzwQ4Mk5K1V9fkFsjGdOLutJ56odfKRPNQWVMPKjh` +
			`cS8+taDQnusuFi633hAHR4YBEhr1IRzf+xPvD+Q=`, // 3DES, SHA-1
	} {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			panic(err)
		}
		out = append(out, der)
	}
	return out
}

// keyFault states what must hold of any bytes: what opens is a key.
func keyFault(der []byte, open func([]byte, Password) ([]byte, error)) string {
	plain, err := open(der, "sesame")
	if err != nil {
		return ""
	}
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return fmt.Sprintf("%x opens and is no key: %v", plain, err)
	}
	return ""
}

func FuzzDecryptPKCS8(f *testing.F) {
	for _, der := range encryptedKeys() {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if bytes.Contains(der, []byte{2, 3}) {
			t.Skip("may be three bytes of iterations, which take seconds")
		}
		if fault := keyFault(der, decryptPKCS8); fault != "" {
			t.Error(fault)
		}
	})
}

// TestPlantedFaults shows that the fuzz target would notice a decoder that is wrong.
func TestPlantedFaults(t *testing.T) {
	lax := func(der []byte, _ Password) ([]byte, error) { // believes in every password
		plain, err := decryptPKCS8(der, "wrong")
		if errors.Is(err, errPassword) {
			err = nil
		}
		return plain, err
	}
	if keyFault(encryptedKeys()[0], lax) == "" {
		t.Error("a decoder that believes in every password is not found")
	}
	for _, der := range encryptedKeys() {
		if plain, err := decryptPKCS8(der, "sesame"); err != nil || len(plain) == 0 {
			t.Error(err)
		}
	}
}
