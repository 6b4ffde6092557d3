package localadmin

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// TestCache: whom the proxy knows is told without secrets, and forgotten for whoever has the token.
func TestCache(t *testing.T) {
	keys, key := scram.Derive("geheim", []byte("salt"), 1)
	o := options("t", readiness(""))
	at := func(database string) users.Place {
		return users.Place{Cluster: "main", Database: database, Query: "geheim", As: "geheim"}
	}
	put := func(p users.Place, name, secret string, asked, until int64) {
		k := users.Known{Asked: asked, Until: until}
		if secret != "-" {
			u, err := users.New(name, secret)
			if err != nil {
				t.Fatal(err)
			}
			k.User = u
		}
		o.Users.Put(p, name, k)
	}
	put(at("b"), "ann", keys.String(), 1e9, 2e9)
	put(at("a"), "ann", "geheim", 2e9, 0)
	put(at("a"), "bob", pgmd5.Hash("geheim", "bob"), 3e9, 0)
	put(at("a"), "none", "", 3e9, 0)
	put(at("a"), "nobody", "-", 3e9, 0)
	o.Keys.Learn(keyring.Owner{Cluster: "main", User: "ann"}, &keys, key)
	o.Keys.Learn(keyring.Owner{Cluster: "main", User: "app"}, &keys, key)

	const (
		annA   = `{"cluster":"main","database":"a","user":"ann","asked":"1970-01-01T00:00:02Z","until":null,"secret":"password","key":true}`
		annB   = `{"cluster":"main","database":"b","user":"ann","asked":"1970-01-01T00:00:01Z","until":"1970-01-01T00:00:02Z","secret":"scram","key":true}`
		others = `{"cluster":"main","database":"a","user":"bob","asked":"1970-01-01T00:00:03Z","until":null,"secret":"md5","key":false},` +
			`{"cluster":"main","database":"a","user":"nobody","asked":"1970-01-01T00:00:03Z","until":null,"secret":"nobody","key":false},` +
			`{"cluster":"main","database":"a","user":"none","asked":"1970-01-01T00:00:03Z","until":null,"secret":"none","key":false}`
		annKey, appKey = `{"cluster":"main","user":"ann"}`, `{"cluster":"main","user":"app"}`
	)
	for _, tt := range []struct {
		request, token string
		status         int
		want           string
	}{
		{"GET /auth/cache", "", 401, `{"error":"missing or invalid admin bearer token"}`},
		{"DELETE /auth/cache?user=ann", "", 401, `{"error":"missing or invalid admin bearer token"}`},
		{"POST /auth/cache", "t", 405, `{"error":"POST is not allowed"}`},
		{"GET /auth/cache", "t", 200, `{"users":[` + annA + "," + others + "," + annB + `],"keys":[` + annKey + "," + appKey + `],"moreUsers":0,"moreKeys":0}`},
		{"GET /auth/cache?user=ann", "t", 200, `{"users":[` + annA + "," + annB + `],"keys":[` + annKey + `],"moreUsers":0,"moreKeys":0}`},
		{"GET /auth/cache?user=x", "t", 200, `{"users":[],"keys":[],"moreUsers":0,"moreKeys":0}`},
		{"GET /auth/cache?limit=0", "t", 400, `{"error":"limit is not a number from 1 to 10000"}`},
		{"GET /auth/cache?limit=10001", "t", 400, `{"error":"limit is not a number from 1 to 10000"}`},
		{"DELETE /auth/cache", "t", 400, `{"error":"user=NAME is missing"}`},
		{"DELETE /auth/cache?user=ann", "t", 200, `{"users":2,"keys":1}`},
		{"DELETE /auth/cache?user=ann", "t", 200, `{"users":0,"keys":0}`},
		{"GET /auth/cache?user=ann", "t", 200, `{"users":[],"keys":[],"moreUsers":0,"moreKeys":0}`},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		r := httptest.NewRequest(method, path, nil)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		w := httptest.NewRecorder()
		Handler(o).ServeHTTP(w, r)
		if got := strings.TrimSpace(w.Body.String()); w.Code != tt.status || got != tt.want || strings.Contains(got, "geheim") {
			t.Errorf("%s: got %d %s\nwant %d %s", tt.request, w.Code, got, tt.status, tt.want)
		}
	}
	w := httptest.NewRecorder()
	o.Token = ""
	Handler(o).ServeHTTP(w, httptest.NewRequest("DELETE", "/auth/cache?user=bob", nil))
	if w.Code != 403 || o.Users.Len() != 3 {
		t.Errorf("without a token: %d %s, %d users", w.Code, w.Body, o.Users.Len())
	}
}

// TestCacheBounded: of many so many are listed as the request allows, and the others are counted.
func TestCacheBounded(t *testing.T) {
	o := options("", readiness(""))
	o.Users, o.Keys = users.NewBook(100), keyring.New(100)
	for i := range 50 {
		for range 2 { // twice the same
			o.Users.Put(users.Place{Database: "d"}, fmt.Sprint(i), users.Known{})
		}
		o.Users.Put(users.Place{Database: fmt.Sprint(i)}, "many", users.Known{})
	}
	c := cache{o}
	if k := c.known("", 7); len(k.Users) != 7 || k.MoreUsers != 93 || len(k.Keys) != 0 || k.MoreKeys != 0 {
		t.Errorf("all: %d and %d", len(k.Users), k.MoreUsers)
	}
	if k := c.known("many", 7); len(k.Users) != 7 || k.MoreUsers != 43 {
		t.Errorf("many: %d and %d", len(k.Users), k.MoreUsers)
	}
}
