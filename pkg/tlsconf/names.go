package tlsconf

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Names is who a certificate says its owner is.
type Names struct {
	// CN is the first common name; empty if there is none.
	CN string
	// DN is the subject as PostgreSQL compares it for clientname=DN, by RFC 2253: the last part first, as in CN=alice,OU=sales,O=example.
	DN string
	// DNS, IPs, Emails and URIs are the subject alternative names. PostgreSQL takes no user's name from them.
	DNS, IPs, Emails, URIs []string
}

// NamesOf reads the names of a certificate. As with PostgreSQL a common name with a NUL byte is an error.
func NamesOf(cert *x509.Certificate) (Names, error) {
	rdns, err := parseSubject(cert.RawSubject)
	if err != nil {
		return Names{}, fmt.Errorf("subject of certificate: %w", err)
	}
	names := Names{CN: commonName(rdns), DN: rdns.rfc2253(), DNS: cert.DNSNames, Emails: cert.EmailAddresses}
	if strings.IndexByte(names.CN, 0) >= 0 {
		return Names{}, errors.New("SSL certificate's common name contains embedded null")
	}
	for _, ip := range cert.IPAddresses {
		names.IPs = append(names.IPs, ip.String())
	}
	for _, uri := range cert.URIs {
		names.URIs = append(names.URIs, uri.String())
	}
	return names, nil
}

// A subject is a Name of RFC 5280, whose values keep their encoding.
type (
	subject   []rdnSET
	rdnSET    []attribute // encoding/asn1 takes a type of this ending for a SET
	attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
)

func parseSubject(raw []byte) (subject, error) {
	var s subject
	if err := unmarshal(raw, &s); err != nil {
		return nil, err
	}
	return s, nil
}

// commonName returns the bytes of the first common name, as OpenSSL's X509_NAME_get_text_by_NID does.
func commonName(s subject) string {
	for _, rdn := range s {
		for _, a := range rdn {
			if attributeName(a.Type) == "CN" {
				return string(a.Value.Bytes)
			}
		}
	}
	return ""
}

// rfc2253 prints as OpenSSL's X509_NAME_print_ex does with XN_FLAG_RFC2253.
func (s subject) rfc2253() string {
	var b strings.Builder
	for i := len(s) - 1; i >= 0; i-- {
		for j := len(s[i]) - 1; j >= 0; j-- {
			switch {
			case b.Len() == 0:
			case j == len(s[i])-1:
				b.WriteByte(',')
			default:
				b.WriteByte('+')
			}
			a := s[i][j]
			name := attributeName(a.Type)
			text, ok := textOf(a.Value)
			if name == "" || !ok {
				text = "#" + strings.ToUpper(hex.EncodeToString(a.Value.FullBytes))
			} else {
				text = escape(text)
			}
			if name == "" {
				name = a.Type.String()
			}
			b.WriteString(name)
			b.WriteByte('=')
			b.WriteString(text)
		}
	}
	return b.String()
}

// attributeName is OpenSSL's short name of what a certificate's subject may consist of; others have none and are printed as numbers.
func attributeName(oid asn1.ObjectIdentifier) string {
	const x520 = "CN SN serialNumber C L ST street O OU title description searchGuide businessCategory postalAddress postalCode postOfficeBox " +
		"physicalDeliveryOfficeName telephoneNumber telexNumber teletexTerminalIdentifier facsimileTelephoneNumber x121Address " +
		"internationaliSDNNumber registeredAddress destinationIndicator preferredDeliveryMethod presentationAddress " +
		"supportedApplicationContext member owner roleOccupant seeAlso userPassword userCertificate cACertificate " +
		"authorityRevocationList certificateRevocationList crossCertificatePair name GN initials generationQualifier " +
		"x500UniqueIdentifier dnQualifier enhancedSearchGuide protocolInformation distinguishedName uniqueMember houseIdentifier " +
		"supportedAlgorithms deltaRevocationList dmdName"
	if len(oid) == 4 && oid[:3].Equal(asn1.ObjectIdentifier{2, 5, 4}) {
		arc := 3 // of CN; the names go on from there without a gap
		for name := range strings.FieldsSeq(x520) {
			if oid[3] == arc {
				return name
			}
			arc++
		}
	}
	switch oid.String() {
	case "2.5.4.65":
		return "pseudonym"
	case "2.5.4.72":
		return "role"
	case "2.5.4.97":
		return "organizationIdentifier"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	case "1.2.840.113549.1.9.2":
		return "unstructuredName"
	case "1.2.840.113549.1.9.8":
		return "unstructuredAddress"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.3":
		return "mail"
	case "0.9.2342.19200300.100.1.9":
		return "host"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "0.9.2342.19200300.100.1.44":
		return "uid"
	case "1.3.6.1.4.1.311.60.2.1.1":
		return "jurisdictionL"
	case "1.3.6.1.4.1.311.60.2.1.2":
		return "jurisdictionST"
	case "1.3.6.1.4.1.311.60.2.1.3":
		return "jurisdictionC"
	}
	return ""
}

// textOf returns a string value as UTF-8.
func textOf(v asn1.RawValue) (text string, ok bool) {
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagNumericString, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String: // as OpenSSL, Latin-1
		var b strings.Builder
		for _, c := range v.Bytes {
			b.WriteRune(rune(c))
		}
		return b.String(), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		var b strings.Builder
		for i := 0; i < len(v.Bytes); i += 2 {
			b.WriteRune(rune(v.Bytes[i])<<8 | rune(v.Bytes[i+1]))
		}
		return b.String(), true
	}
	return "", false
}

// escape is that of RFC 2253 as OpenSSL does it: control characters and all beyond ASCII are bytes in hexadecimal.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		first, last := i == 0, i == len(s)-1
		switch {
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%02X`, c)
			continue
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && first && !last, c == ' ' && (first || last):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
