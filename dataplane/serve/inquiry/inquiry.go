// Package inquiry looks users up that the configuration does not have: in the book of what databases have said, and at the databases. It never judges a proof.
package inquiry

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
)

// Again is how long a database is not asked for the same user again because a proof was wrong.
const Again = 100 * time.Millisecond

// Desk is where users are looked up. Its fields are set before the first is. Any loop may use it.
type Desk struct {
	Ring  *keyring.Ring
	Users *users.Book
	// Inquire asks a target's database about a user, as its auth_query says. Where the database's clients are held the error is
	// [lookup.ErrHeld].
	Inquire func(t *reactor.Task, q *snapshot.Inquiry, name string) (lookup.Row, error)
	// BeginInquiry asks without waiting. answer is called on another thread.
	BeginInquiry func(q *snapshot.Inquiry, name string, answer func(lookup.Row, error))
}

// Kept returns what is known of a name, if that is still good; now is nanoseconds since 1970. What has had half of its time is asked for
// anew behind it, where renews says so, so that who logs in often never waits for an answer. Nobody waits for this one: if there is none, the
// old one is used for the rest of its time.
func (d *Desk) Kept(q *snapshot.Inquiry, name string, now int64, renews bool) (k users.Known, ok bool) {
	k, ok = d.Users.Find(q.Place, name, now-int64(q.Good))
	if ok && renews && d.Users.Claim(q.Place, name, now, now-int64(q.Good/2)) {
		d.renew(q, name, now)
	}
	return k, ok
}

// Since returns what is known of a name whose answer of the time asked has led to a wrong proof, where the database is not to be asked again:
// somebody else has done so, or it is too soon.
func (d *Desk) Since(q *snapshot.Inquiry, name string, asked, now int64) (k users.Known, ok bool) {
	if k, ok := d.Users.Find(q.Place, name, asked+1); ok {
		return k, true
	}
	if now-asked < int64(Again) {
		k, _ := d.Users.Find(q.Place, name, 0)
		return k, true
	}
	return users.Known{}, false
}

// Ask asks the database, and notes what it says. The user is nil where nobody may log in by that name.
func (d *Desk) Ask(t *reactor.Task, q *snapshot.Inquiry, name string) (*users.User, error) {
	now := time.Now().UnixNano()
	row, err := d.Inquire(t, q, name)
	if err != nil {
		return nil, err
	}
	k, err := known(name, row, now)
	if err != nil {
		return nil, err
	}
	k = d.Users.Put(q.Place, name, k)
	d.Ring.Keep(q.Owner, k.User.Verifier())
	return k.Good(now), nil
}

// known is what a row says of a name.
func known(name string, row lookup.Row, asked int64) (k users.Known, err error) {
	k = users.Known{Asked: asked, Until: row.Until}
	if row.Found {
		k.User, err = users.New(name, row.Secret)
	}
	return k, err
}

// renew asks the database for a name that was claimed.
func (d *Desk) renew(q *snapshot.Inquiry, name string, now int64) {
	d.BeginInquiry(q, name, func(row lookup.Row, err error) {
		var k users.Known
		if err == nil {
			k, err = known(name, row, now)
		}
		if err != nil {
			d.Users.Fail(q.Place, name, time.Now().UnixNano())
			return
		}
		if k, ok := d.Users.Renew(q.Place, name, k); ok {
			d.Ring.Keep(q.Owner, k.User.Verifier())
		}
	})
}
