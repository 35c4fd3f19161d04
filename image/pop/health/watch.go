package health

import (
	"context"
	"sync/atomic"
	"time"
)

// watch is a check that takes too long for a round, or must not query others as often. It runs in the background, and rounds use its last result.
type watch[T any] struct {
	last atomic.Pointer[T]
	// Pause between two runs, while all is well and while it is not.
	interval, retryInterval time.Duration
	// While it returns true, a probe that does not find all well is repeated after hurryInterval. nil: never.
	isHurried func() bool
}

const hurryInterval = time.Second

// get returns the last result, or the zero value before the first run.
func (w *watch[T]) get() T {
	if last := w.last.Load(); last != nil {
		return *last
	}
	var zero T
	return zero
}

// run repeats the probe until ctx is done. The probe returns its result, and whether all is well; it may take as long as an interval.
func (w *watch[T]) run(ctx context.Context, probe func(context.Context) (T, bool)) {
	for ctx.Err() == nil {
		probeCtx, cancel := context.WithTimeout(ctx, w.interval)
		result, isWell := probe(probeCtx)
		cancel()
		w.last.Store(&result)
		pause := w.interval
		if !isWell {
			pause = w.retryInterval
			if w.isHurried != nil && w.isHurried() {
				pause = hurryInterval
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
