package tlsconf

import (
	"crypto"
	_ "crypto/sha256" // the hashes below
	_ "crypto/sha512"
	"crypto/x509"
	"errors"
)

// EndPoint returns the channel binding data tls-server-end-point of a connection to the server of this certificate (RFC 5929, section 4.1): the certificate's hash, by
// the algorithm of its own signature, and SHA-256 where that is MD5 or SHA-1. As with PostgreSQL and libpq, a certificate signed with Ed25519, which has no such hash,
// is an error.
func EndPoint(cert *x509.Certificate) ([]byte, error) {
	h, err := endPointHash(cert.SignatureAlgorithm)
	if err != nil {
		return nil, err
	}
	sum := h.New()
	sum.Write(cert.Raw)
	return sum.Sum(nil), nil
}

// EndPointHash is the hash that [EndPoint] takes of a certificate.
func EndPointHash(cert *x509.Certificate) (crypto.Hash, error) {
	return endPointHash(cert.SignatureAlgorithm)
}

func endPointHash(a x509.SignatureAlgorithm) (crypto.Hash, error) {
	switch a {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		return crypto.SHA256, nil
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384, nil
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512, nil
	case x509.PureEd25519:
		return 0, errors.New("could not find digest for NID UNDEF") // PostgreSQL's words
	}
	return 0, errors.New("could not determine server certificate signature algorithm")
}
