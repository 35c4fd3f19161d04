package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWatchLooksSoonerWhileSomethingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		it := watch[int]{every: time.Minute, soon: time.Second}
		if it.get() != 0 {
			t.Error("there is a result before the first round")
		}
		began := time.Now()
		at := []time.Duration{}
		ctx, cancel := context.WithCancel(t.Context())
		it.keep(ctx, func(ctx context.Context) (int, bool) {
			at = append(at, time.Since(began))
			if len(at) == 2 { // it hangs, and is cut short
				<-ctx.Done()
			}
			if len(at) == 4 {
				cancel()
			}
			return len(at), len(at) != 1
		})
		expected := []time.Duration{0, time.Second, time.Second + 2*time.Minute, time.Second + 3*time.Minute}
		if len(at) != len(expected) || at[1] != expected[1] || at[2] != expected[2] || at[3] != expected[3] {
			t.Errorf("rounds at %v, expected %v", at, expected)
		}
		if it.get() != 4 {
			t.Errorf("last is %d", it.get())
		}
	})
}
