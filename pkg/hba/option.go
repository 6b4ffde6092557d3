package hba

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// parseOption reads one name=value; the last of several with one name counts. The values of options of methods that are not supported are
// not looked at: their rules are refused as such.
func (r *Rule) parseOption(text string) error {
	option, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("authentication option not in name=value format") // and not shown: it may be the rest of a password
	}
	if methods, words := optionMethods(option); words != "" && !slices.Contains(methods, r.Method) {
		return fmt.Errorf("authentication option %q is only valid for authentication methods %s", option, words)
	} else if words != "" {
		r.set(option, value)
		return nil
	}
	switch option {
	case "clientcert", "clientname":
		if r.Type != HostSSL {
			return fmt.Errorf("%s can only be configured for \"hostssl\" rows", option)
		}
	default:
		return fmt.Errorf("unrecognized authentication option name: %q", option)
	}
	switch {
	case option == "clientcert" && value == string(VerifyCA) && r.Method == Cert:
		return errors.New("clientcert can only be set to \"verify-full\" when using \"cert\" authentication")
	case option == "clientcert" && (value == string(VerifyCA) || value == string(VerifyFull)):
		r.ClientCert = ClientCert(value)
	case option == "clientname" && (value == "CN" || value == "DN" || value == "SAN"):
		r.ClientDN, r.ClientSAN = value == "DN", value == "SAN"
	default:
		return fmt.Errorf("invalid value for %s: %q", option, value)
	}
	return nil
}

// optionMethods returns the methods that have an option, and PostgreSQL's words for them; neither if it goes by the type of connection, or
// does not exist.
func optionMethods(option string) (methods []Method, words string) {
	switch option {
	case "map":
		return []Method{ident, Peer, gss, sspi, Cert, oauth}, "ident, peer, gssapi, sspi, cert, and oauth"
	case "pamservice", "pam_use_hostname":
		return []Method{PAM}, "pam"
	case "ldapurl", "ldaptls", "ldapscheme", "ldapserver", "ldapport", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute",
		"ldapsearchfilter", "ldapbasedn", "ldapprefix", "ldapsuffix":
		return []Method{ldap}, "ldap"
	case "krb_realm", "include_realm":
		return []Method{gss, sspi}, "gssapi and sspi"
	case "compat_realm", "upn_username":
		return []Method{sspi}, "sspi"
	case "radiusservers", "radiusports", "radiussecrets", "radiusidentifiers":
		return []Method{radius}, "radius"
	case "issuer", "scope", "validator", "delegate_ident_mapping":
		return []Method{oauth}, "oauth"
	}
	return nil, ""
}

// set keeps the value of an option of methods that are supported.
func (r *Rule) set(option, value string) {
	switch option {
	case "map":
		r.Map = value
	case "pamservice":
		r.PAMService = value
	case "pam_use_hostname":
		r.PAMUseHostname = value == "1"
	}
}
