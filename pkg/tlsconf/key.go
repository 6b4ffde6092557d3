package tlsconf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// maxKeyIterations bounds what an encrypted key asks for: 10,000,000 rounds are seconds of a CPU.
const maxKeyIterations = 10_000_000

// errPassword is that decryption gave no key.
var errPassword = errors.New("it cannot be decrypted: the password may be wrong")

// keyPair puts a certificate and its key together, both PEM. An error names neither file.
func keyPair(certificate, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil
}

// ParseKey reads the private key of a PEM file, as crypto/x509 returns it: it has the methods of crypto.Signer. password is needed if the key is encrypted.
func ParseKey(file []byte, password Password) (any, error) {
	file, err := openKey(file, password)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(file)
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is malformed, or of a kind that is not known")
	}
	return key, nil
}

// openKey returns the file's private key, PEM, not encrypted.
func openKey(file []byte, password Password) ([]byte, error) {
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("there is no private key in it")
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		pkcs8 := block.Type == "ENCRYPTED PRIVATE KEY"
		if !pkcs8 && block.Headers["DEK-Info"] == "" {
			return pem.EncodeToMemory(block), nil
		}
		if password == "" {
			return nil, errors.New("it is encrypted, and there is no password")
		}
		if !pkcs8 {
			//lint:ignore SA1019 the form is as bad as they say, and yet such keys are in use
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if errors.Is(err, x509.IncorrectPasswordError) {
				err = errPassword
			}
			if err != nil {
				return nil, err
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
		}
		der, err := decryptPKCS8(block.Bytes, password)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
}

// The structures of RFC 5958 (section 3) and RFC 8018 (appendix A) that an encrypted key is made of.
type (
	encryptedPrivateKeyInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params  struct{ KDF, Encryption pkix.AlgorithmIdentifier }
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// decryptPKCS8 opens PBES2 with PBKDF2, which is what OpenSSL has made since 1.1.0. It returns a PrivateKeyInfo.
func decryptPKCS8(der []byte, password Password) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	if oid := info.Algorithm.Algorithm.String(); oid != "1.2.840.113549.1.5.13" {
		return nil, fmt.Errorf("it is encrypted by scheme %s: only PBES2 is known", oid)
	}
	var scheme pbes2Params
	if err := unmarshal(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	if oid := scheme.KDF.Algorithm.String(); oid != "1.2.840.113549.1.5.12" {
		return nil, fmt.Errorf("its key is derived by %s: only PBKDF2 is known", oid)
	}
	var kdf pbkdf2Params
	if err := unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxKeyIterations {
		return nil, fmt.Errorf("it asks for %d iterations of PBKDF2: at most %d are done", kdf.Iterations, maxKeyIterations)
	}
	newHash, err := prfOf(kdf.PRF.Algorithm)
	if err != nil {
		return nil, err
	}
	newCipher, size, err := cipherOf(scheme.Encryption.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(newHash, string(password), kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, fmt.Errorf("derive its key: %w", err)
	}
	block, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if err := unmarshal(scheme.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	if len(iv) != block.BlockSize() || len(info.Data) == 0 || len(info.Data)%block.BlockSize() != 0 {
		return nil, errors.New("it is malformed: its length is not the cipher's")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > block.BlockSize() || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errPassword
	}
	plain = plain[:len(plain)-pad]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, errPassword
	}
	return plain, nil
}

// unmarshal reads all of der.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes behind its end")
	}
	if err != nil {
		return fmt.Errorf("it is malformed: %w", err)
	}
	return nil
}

// prfOf returns the hash of an HMAC; none is SHA-1, as the standard says.
func prfOf(oid asn1.ObjectIdentifier) (func() hash.Hash, error) {
	switch oid.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New, nil
	case "1.2.840.113549.2.8":
		return sha256.New224, nil
	case "1.2.840.113549.2.9":
		return sha256.New, nil
	case "1.2.840.113549.2.10":
		return sha512.New384, nil
	case "1.2.840.113549.2.11":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("its key is derived with the unknown function %s", oid)
}

// cipherOf returns a block cipher, used in CBC mode, and the length of its key in bytes.
func cipherOf(oid asn1.ObjectIdentifier) (newCipher func([]byte) (cipher.Block, error), size int, err error) {
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2":
		return aes.NewCipher, 16, nil
	case "2.16.840.1.101.3.4.1.22":
		return aes.NewCipher, 24, nil
	case "2.16.840.1.101.3.4.1.42":
		return aes.NewCipher, 32, nil
	case "1.2.840.113549.3.7":
		return des.NewTripleDESCipher, 24, nil
	}
	return nil, 0, fmt.Errorf("it is encrypted by the unknown cipher %s", oid)
}
