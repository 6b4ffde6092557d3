package storetest

import (
	"context"
	"sync"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// Liar stands before a store and tells of it what it is bidden to. The zero value of all but Store is honest.
type Liar struct {
	store.Store
	// Page, if set, says what becomes of a page.
	Page func(store.Range, store.Page, error) (store.Page, error)
	// Result, if set, carries a transaction out, or says that it did; honest is what does.
	Result func(t store.Txn, honest func(store.Txn) (store.Result, error)) (store.Result, error)
	// Batch, if set, says what is told instead of a batch. It is called by one goroutine a watch.
	Batch func(store.Batch) []store.Batch
	// End, if set, says why a watch has ended.
	End func(error) error

	mu     sync.Mutex
	cut    chan struct{} // closed when it is healed; nil if it is
	broken chan struct{} // closed to end the watches that there are
}

// Cut makes the store unreachable: calls fail, and watches hang without a word, until Heal.
func (l *Liar) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut == nil {
		l.cut = make(chan struct{})
	}
}

// Break ends the watches that there are, as a connection that is lost does.
func (l *Liar) Break() {
	close(l.breaks())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = nil
}

// breaks returns a channel that is closed when the watches of now are to end.
func (l *Liar) breaks() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = make(chan struct{})
	}
	return l.broken
}

// Heal ends a cut.
func (l *Liar) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil {
		close(l.cut)
		l.cut = nil
	}
}

// healed returns a channel that is closed once there is no cut; nil if there is none.
func (l *Liar) healed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// Compact compacts the store.
func (l *Liar) Compact(ctx context.Context, revision int64) error {
	return l.Store.(Compacter).Compact(ctx, revision)
}

// List implements [store.Store].
func (l *Liar) List(ctx context.Context, r store.Range) (store.Page, error) {
	if l.healed() != nil {
		return store.Page{}, store.ErrUnavailable
	}
	p, err := l.Store.List(ctx, r)
	if l.Page != nil {
		return l.Page(r, p, err)
	}
	return p, err
}

// Commit implements [store.Store].
func (l *Liar) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	if l.healed() != nil {
		return store.Result{}, store.ErrUnavailable
	}
	honest := func(t store.Txn) (store.Result, error) { return l.Store.Commit(ctx, t) }
	if l.Result != nil {
		return l.Result(t, honest)
	}
	return honest(t)
}

// Watch implements [store.Store].
func (l *Liar) Watch(ctx context.Context, prefix string, from int64) (<-chan store.Batch, func() error) {
	out := make(chan store.Batch)
	var why error
	go func() {
		defer close(out)
		why = l.watch(ctx, prefix, from, out)
		if l.End != nil {
			why = l.End(why)
		}
	}()
	return out, func() error { return why }
}

func (l *Liar) watch(ctx context.Context, prefix string, from int64, out chan<- store.Batch) error {
	broken := l.breaks()
	if err := l.hang(ctx, broken); err != nil {
		return err
	}
	honest, stop := context.WithCancel(ctx)
	defer stop()
	in, why := l.Store.Watch(honest, prefix, from)
	for {
		var told []store.Batch
		select {
		case b, ok := <-in:
			if !ok {
				return why()
			}
			if told = []store.Batch{b}; l.Batch != nil {
				told = l.Batch(b)
			}
		case <-broken:
			return store.ErrUnavailable
		}
		for _, b := range told {
			if err := l.hang(ctx, broken); err != nil {
				return err
			}
			select {
			case out <- b:
			case <-broken:
				return store.ErrUnavailable
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// hang waits for as long as the store is cut off.
func (l *Liar) hang(ctx context.Context, broken <-chan struct{}) error {
	for healed := l.healed(); healed != nil; healed = l.healed() {
		select {
		case <-healed:
		case <-broken:
			return store.ErrUnavailable
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

var _ store.Store = (*Liar)(nil)
