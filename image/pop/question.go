package main

import "context"

// answer puts what was found into a snapshot. It computes only: it must not wait for anything.
type answer func(*snapshot)

// question is one of those that a round asks side by side.
type question struct {
	// The part that shows when there is no answer; empty when none does.
	part string
	// Status of that part then.
	otherwise string
	ask       func(context.Context) answer

	// Receives the answer of the call under way; nil when there is none. A call that hangs in the kernel, on a dead disk for instance, cannot be
	// ended: the question is not asked again before it returns, or each round would leave another thread behind.
	pending chan answer
}

// start asks, and returns false when the call of an earlier round still hangs.
func (q *question) start(ctx context.Context) bool {
	if q.pending != nil {
		select {
		case <-q.pending: // Came too late for its own round, and is too old for this one.
		default:
			return false
		}
	}
	pending := make(chan answer, 1)
	q.pending = pending
	go func() { pending <- q.ask(ctx) }()
	return true
}

// wait returns nil when there is no answer before ctx is done.
func (q *question) wait(ctx context.Context) answer {
	take := func(found answer) answer {
		q.pending = nil
		return found
	}
	// First what is there already: when one question used up all the time, the answers to the others must still count.
	select {
	case found := <-q.pending:
		return take(found)
	default:
	}
	select {
	case found := <-q.pending:
		return take(found)
	case <-ctx.Done():
		return nil
	}
}
