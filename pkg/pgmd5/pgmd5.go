// Package pgmd5 is PostgreSQL's md5 password scheme. It never judges it: the scheme is old, and in use.
package pgmd5

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
)

// Hash returns the stored form of a password: "md5" and the hex MD5 of password and user.
func Hash(password, user string) string {
	h := md5.Sum([]byte(password + user))
	return "md5" + hex.EncodeToString(h[:])
}

// Salted returns what a client sends for a stored form and the salt of a challenge.
func Salted(stored string, salt []byte) string {
	h := md5.Sum(append([]byte(stored[3:]), salt...))
	return "md5" + hex.EncodeToString(h[:])
}

// IsHash says whether s is a stored form.
func IsHash(s string) bool {
	return len(s) == 35 && strings.HasPrefix(s, "md5") && strings.Trim(s[3:], "0123456789abcdef") == ""
}
