// Package keyspace is where in the store a control plane keeps what: the keys that store.proto describes, made in one place. It never reads or writes them.
package keyspace

import (
	"fmt"
	"net/url"
	"strings"
)

// The roots. Config, the releases and the numbers of proxies are watched, the others are read when they are asked for.
const (
	Root       = "/helios/v1/"
	Store      = Root + "meta/store"
	Config     = Root + "config/"
	ConfigHead = Config + "head"
	Resources  = Config + "resource/"
	Stages     = Config + "stage/"
	Audit      = Root + "audit/"
	requests   = Root + "request/"
	// noTenant stands where the name of a tenant will.
	noTenant = "_"
)

// Resource is the key of a resource.
func Resource(kind, name string) string {
	return Resources + kind + "/" + noTenant + "/" + url.PathEscape(name)
}

// Stage is the prefix of a write that is too large for one transaction.
func Stage(id string) string { return Stages + id + "/" }

// StagePart is the key of a part of it.
func StagePart(id string, n int) string { return Stage(id) + number(uint64(n)) }

// StageOf returns the id of the stage that a key belongs to.
func StageOf(key string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(key, Stages)
	if !ok {
		return "", false
	}
	id, _, ok = strings.Cut(rest, "/")
	return id, ok
}

// AuditRecord is the key of the record of a revision.
func AuditRecord(revision uint64) string { return Audit + number(revision) }

// Request is the key of a write that was carried out.
func Request(id string) string { return requests + url.PathEscape(id) }

// Group is the keys of a group of proxies: of its releases, and of who they are.
type Group string

// Releases is the prefix of all that is watched.
func (g Group) Releases() string { return Root + "release/" + url.PathEscape(string(g)) + "/" }

// Head is the pointer to the current release.
func (g Group) Head() string { return g.Releases() + "head" }

// Again is written when what was refused is to be sent again.
func (g Group) Again() string { return g.Releases() + "again" }

// Sweep is written by whoever removes parts.
func (g Group) Sweep() string { return g.Releases() + "sweep" }

// Manifests is the prefix of the manifests.
func (g Group) Manifests() string { return g.Releases() + "manifest/" }

// Manifest is that of a release.
func (g Group) Manifest(n uint64) string { return g.Manifests() + number(n) }

// Parts is the prefix of the parts of all releases.
func (g Group) Parts() string { return Root + "part/" + url.PathEscape(string(g)) + "/" }

// Part is the key of one, by the hash of its bytes.
func (g Group) Part(hash string) string { return g.Parts() + hash }

// Numbers is the prefix of the proxies that have a number.
func (g Group) Numbers() string { return Root + "peer/" + url.PathEscape(string(g)) + "/" }

// Peer is the key of the proxy with a number.
func (g Group) Peer(n uint32) string { return g.Numbers() + number(uint64(n)) }

// number has 20 digits, so that keys are in the order of their numbers.
func number(n uint64) string { return fmt.Sprintf("%020d", n) }
