package main

import (
	"context"
	"sync/atomic"
	"time"
)

// watch is a check that takes too long for a round of questions, or asks others too often in one: it has a round of its own, and the rest sees its last result.
type watch[T any] struct {
	last atomic.Pointer[T]
	// Between two rounds: while all is well, and while it is not.
	every, soon time.Duration
}

// get is the zero value before the first round.
func (w *watch[T]) get() T {
	if last := w.last.Load(); last != nil {
		return *last
	}
	var none T
	return none
}

// keep runs rounds until ctx is done. A round that takes longer than the pause after it is cut short.
func (w *watch[T]) keep(ctx context.Context, look func(context.Context) (T, bool)) {
	for ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, w.every)
		found, well := look(round)
		cancel()
		w.last.Store(&found)
		pause := w.every
		if !well {
			pause = w.soon
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
