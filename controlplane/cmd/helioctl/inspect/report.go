package inspect

import (
	"time"
)

// Report is what one file or host has.
type Report struct {
	Target       string        `json:"target"`
	Good         bool          `json:"good"` // all of it holds
	TLS          *TLS          `json:"tls,omitempty"`
	Certificates []Certificate `json:"certificates"`
	Keys         []Key         `json:"keys,omitempty"`
	Lists        []List        `json:"revocationLists,omitempty"`
}

// TLS is how a host speaks it.
type TLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
	Curve   string `json:"keyExchange,omitempty"`
	ALPN    string `json:"alpn,omitempty"`
	// AsksForCertificate says that the host wants a certificate of its clients.
	AsksForCertificate bool `json:"asksForCertificate"`
	// HostMismatch is why verify-full would refuse the certificate for the host that was connected to.
	HostMismatch string `json:"hostMismatch,omitempty"`
}

// Certificate is one of a chain.
type Certificate struct {
	Subject string   `json:"subject"` // as PostgreSQL writes it, RFC 2253
	CN      string   `json:"commonName"`
	DNS     []string `json:"dns,omitempty"`
	IPs     []string `json:"ips,omitempty"`
	URIs    []string `json:"uris,omitempty"`
	Emails  []string `json:"emails,omitempty"`
	Issuer  string   `json:"issuer"`
	Serial  string   `json:"serial"`
	Validity
	Authority          bool     `json:"authority"`
	Key                string   `json:"key"`
	SignatureAlgorithm string   `json:"signatureAlgorithm"`
	Usages             []string `json:"usages,omitempty"`
	Fingerprint        string   `json:"sha256"`
	// EndPointHash is what tls-server-end-point is made by, to which SCRAM-SHA-256-PLUS is bound.
	EndPointHash string `json:"endPointHash,omitempty"`
	// Problem is why it is no name for a user, if so.
	Problem string `json:"problem,omitempty"`
	// Verified is whether the authorities of --ca are good for it, NotVerified why not, Matches whether --key is its key: of the first of a chain.
	Verified    *bool  `json:"verified,omitempty"`
	NotVerified string `json:"notVerified,omitempty"`
	Matches     *bool  `json:"keyMatches,omitempty"`
}

// Validity is from when to when something holds.
type Validity struct {
	From     time.Time  `json:"from"`
	Until    *time.Time `json:"until"` // nil: for ever
	DaysLeft *int       `json:"daysLeft"`
	State    string     `json:"state"` // valid, expired or not yet valid
}

// validity judges a time.
func validity(from, until, now time.Time) Validity {
	v := Validity{From: from.UTC(), State: "valid"}
	if !until.IsZero() {
		until = until.UTC()
		days := int(until.Sub(now).Hours() / 24)
		v.Until, v.DaysLeft = &until, &days
	}
	switch {
	case now.Before(from):
		v.State = "not yet valid"
	case v.Until != nil && now.After(until):
		v.State = "expired"
	}
	return v
}

// Key is a private key of a file, of which the public half alone is told.
type Key struct {
	Key         string `json:"key,omitempty"`
	Encrypted   bool   `json:"encrypted"`
	Fingerprint string `json:"publicSha256,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

// List is a revocation list.
type List struct {
	Issuer string `json:"issuer"`
	Number string `json:"number,omitempty"`
	Validity
	Revoked            int    `json:"revoked"`
	SignatureAlgorithm string `json:"signatureAlgorithm"`
}
