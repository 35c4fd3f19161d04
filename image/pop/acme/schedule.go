package acme

import (
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// Pure functions that decide when things happen, so that tests of certificates of 6, 45 and 90 days take microseconds.

// Window is when an authority wants a certificate renewed, by ARI: https://www.rfc-editor.org/rfc/rfc9773#section-4.2
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

const (
	// A certificate is renewed with a third of its lifetime left, or a little earlier: a tenth of that third at most.
	renewalShare, spreadShare = 3, 30
	// Share of the lifetime that stays in reserve even if an authority's window is later: a renewal takes time, and may fail.
	reserveShare = 6
	// Share of the lifetime: with less than that left, renewals must have failed.
	endsSoonShare = 8

	minPoll, defaultPoll, maxPoll = time.Minute, 6 * time.Hour, 24 * time.Hour
	// Let's Encrypt allows five failed validations per hour and name: https://letsencrypt.org/docs/rate-limits/
	firstPause, maxPause = 5 * time.Minute, 12 * time.Hour
	// Failed connections do not count at the authority.
	firstUnavailablePause, maxUnavailablePause = 30 * time.Second, 30 * time.Minute
	// A check of a name that does not lead here costs only a few packets.
	firstCheckPause, maxCheckPause = 5 * time.Second, 5 * time.Minute
	// While CAA records forbid an order, only the authority's directory is fetched.
	firstForbiddenPause = 30 * time.Second
	// While other PoPs may be ready at any moment: for newFor after a start without a certificate, and after an unready PoP.
	quickCheckPause, newFor = 3 * time.Second, 2 * time.Minute
	// After the first failed validations, most of which are caused by a PoP that is restarting. Never more than four per hour.
	firstValidationPause, secondValidationPause = 10 * time.Second, time.Minute
	maxFailedValidations                        = 4
)

// renewAt is when to renew a certificate. The seed, 0 to 1, differs between PoPs and spreads their renewals.
func renewAt(notBefore, notAfter time.Time, window *Window, seed float64) time.Time {
	lifetime := notAfter.Sub(notBefore)
	if window == nil {
		return notAfter.Add(-lifetime/renewalShare - fraction(lifetime/spreadShare, seed))
	}
	chosen := window.Start.Add(fraction(window.End.Sub(window.Start), seed))
	if latest := notAfter.Add(-lifetime / reserveShare); chosen.After(latest) {
		return latest
	}
	return chosen
}

// latestSeed is the seed of the latest renewal.
func latestSeed(window *Window) float64 {
	if window == nil {
		return 0
	}
	return 1
}

// EndsSoon says that a certificate expires soon and should have been renewed long ago.
func EndsSoon(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < notAfter.Sub(notBefore)/endsSoonShare
}

// isUrgent says that it is better to ask another authority than to wait for the first one.
func isUrgent(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < notAfter.Sub(notBefore)/reserveShare
}

// pollAfter limits the pause that an authority wants before the next request for its window. 0: it does not say.
func pollAfter(wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return defaultPoll
	}
	return min(max(wanted, minPoll), maxPoll)
}

// pauseAfter is the pause after that many failures in a row, or the authority's Retry-After if that is longer.
func pauseAfter(failures int, first, longest, wanted time.Duration, seed float64) time.Duration {
	pause := longest
	if failures < 20 {
		pause = min(first<<max(failures-1, 0), longest)
	}
	// Up to a fifth more or less.
	pause = pause*4/5 + fraction(pause*2/5, seed)
	if wanted > pause {
		// Never before that time.
		pause = wanted + fraction(pause/5, seed)
	}
	return pause
}

// seedOf derives a number from 0 to 1 from the words.
func seedOf(words ...string) float64 {
	sum := fnv.New64a()
	for _, word := range words {
		_, _ = sum.Write([]byte(word + "\n"))
	}
	// The high bits of FNV hardly differ between short words with the same ending.
	mixed := sum.Sum64()
	mixed ^= mixed >> 33
	mixed *= 0xff51afd7ed558ccd
	mixed ^= mixed >> 33
	return float64(mixed) / math.MaxUint64
}

func fraction(of time.Duration, seed float64) time.Duration { return time.Duration(float64(of) * seed) }

// validationPause is the pause after that many failures in a row, the last of which was a failed validation. If the cause may be brief, the first pauses are
// short. failed are the failed validations of the last hour.
func validationPause(failures int, isBrief bool, failed []time.Time, now time.Time, seed float64) time.Duration {
	var pause time.Duration
	switch {
	case isBrief && failures == 1:
		pause = firstValidationPause
	case isBrief && failures == 2:
		pause = secondValidationPause
	case isBrief:
		pause = pauseAfter(failures-2, firstPause, maxPause, 0, seed)
	default:
		pause = pauseAfter(failures, firstPause, maxPause, 0, seed)
	}
	if len(failed) >= maxFailedValidations {
		pause = max(pause, failed[len(failed)-maxFailedValidations].Add(time.Hour).Sub(now))
	}
	return pause
}

// within returns the times that are no longer ago than length, and not in the future.
func within(times []time.Time, length time.Duration, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(at time.Time) bool { return at.After(now) || now.Sub(at) >= length })
}
