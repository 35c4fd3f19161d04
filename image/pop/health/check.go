package health

import "context"

// update writes a result into a snapshot. It must not block.
type update func(*snapshot)

// check is one of the checks of a round, which run in parallel.
type check struct {
	// The component to report if the check does not end in time; empty if there is none.
	component string
	// Its status in that case.
	fallback string
	run      func(context.Context) update

	// Receives the result of the run in progress; nil if there is none. A run that hangs in the kernel, for example on a dead disk, cannot be
	// cancelled. It is not repeated before it returns, because each round would leave another thread behind.
	pending chan update
}

// start begins a run, and returns false if the run of an earlier round still hangs.
func (c *check) start(ctx context.Context) bool {
	if c.pending != nil {
		select {
		case <-c.pending: // Too late for its own round, and too old for this one.
		default:
			return false
		}
	}
	pending := make(chan update, 1)
	c.pending = pending
	go func() { pending <- c.run(ctx) }()
	return true
}

// wait returns nil if the run does not end before ctx is done.
func (c *check) wait(ctx context.Context) update {
	// A result that is already there comes first: if one check used up all the time, the results of the others still count.
	select {
	case result := <-c.pending:
		c.pending = nil
		return result
	default:
	}
	select {
	case result := <-c.pending:
		c.pending = nil
		return result
	case <-ctx.Done():
		return nil
	}
}
