package health

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWatchRunsSoonerWhileSomethingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch[int]{interval: time.Minute, retryInterval: time.Second}
		if w.get() != 0 {
			t.Error("there is a result before the first round")
		}
		began := time.Now()
		at := []time.Duration{}
		ctx, cancel := context.WithCancel(t.Context())
		w.run(ctx, func(ctx context.Context) (int, bool) {
			at = append(at, time.Since(began))
			if len(at) == 2 { // hangs, and is cancelled
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
		if w.get() != 4 {
			t.Errorf("last is %d", w.get())
		}
	})
}

func TestAHurriedWatchRunsSoonerStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := watch[int]{interval: time.Minute, retryInterval: 10 * time.Second, isHurried: func() bool { return time.Since(began) < 2*time.Second }}
		at := []time.Duration{}
		ctx, cancel := context.WithCancel(t.Context())
		w.run(ctx, func(context.Context) (int, bool) {
			at = append(at, time.Since(began))
			if len(at) == 5 {
				cancel()
			}
			return 0, len(at) == 4
		})
		expected := []time.Duration{0, time.Second, 2 * time.Second, 12 * time.Second, 72 * time.Second}
		if !slices.Equal(at, expected) {
			t.Errorf("rounds at %v, expected %v", at, expected)
		}
	})
}
