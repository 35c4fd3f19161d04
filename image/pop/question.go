package main

import "context"

// answer writes a result into a snapshot. It must not block.
type answer func(*snapshot)

// question is one check of a round; they run in parallel.
type question struct {
	// The component to report if there is no answer; empty if there is none.
	component string
	// Its status in that case.
	otherwise string
	ask       func(context.Context) answer

	// Receives the answer of the call in progress; nil if there is none. A call that hangs in the kernel, on a dead disk for instance, cannot be
	// cancelled. It is not repeated before it returns, because each round would leave another thread behind.
	pending chan answer
}

// start begins the call, and returns false if the call of an earlier round still hangs.
func (q *question) start(ctx context.Context) bool {
	if q.pending != nil {
		select {
		case <-q.pending: // Too late for its own round, and too old for this one.
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
	// Take an answer that has already arrived first: if one check used up all the time, the others' answers must still count.
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
