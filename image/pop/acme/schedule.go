package acme

import (
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// When things happen: pure, so that certificates of 6, 45 and 90 days take a test some microseconds.

// Window is when an authority wants a certificate renewed, by ARI: https://www.rfc-editor.org/rfc/rfc9773#section-4.2
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

const (
	// A certificate is renewed with a third of its lifetime left, or a little earlier: a tenth of that third at most.
	renewalShare, spreadShare = 3, 30
	// Share of the lifetime that an authority's window cannot cut into: a renewal takes its time, and may fail.
	reserveShare = 6
	// EndsSoonShare of the lifetime: with less left something is wrong with renewals.
	EndsSoonShare = 8

	minPoll, defaultPoll, maxPoll = time.Minute, 6 * time.Hour, 24 * time.Hour
	// Failed validations are five an hour and name at Let's Encrypt: https://letsencrypt.org/docs/rate-limits/
	firstPause, maxPause = 5 * time.Minute, 12 * time.Hour
	// An authority that is away counts nothing.
	firstUnavailablePause, maxUnavailablePause = 30 * time.Second, 30 * time.Minute
	// A name that does not lead here costs nobody anything but a few packets.
	firstCheckPause, maxCheckPause = 5 * time.Second, 5 * time.Minute
	// For what CAA records forbid the authority is asked for its directory, and for nothing else.
	firstForbiddenPause = 30 * time.Second
	// While others are expected to be ready any moment: for so long after the start without a certificate, and after a PoP that did not answer.
	quickCheckPause, newFor = 3 * time.Second, 2 * time.Minute
	// After the first failed validations: most are due to a PoP that was just restarting. Never more of them in an hour than four.
	firstValidationPause, secondValidationPause = 10 * time.Second, time.Minute
	maxFailedValidations                        = 4
)

// renewAt is when a certificate is to be renewed. The seed, 0 to 1, is the PoP's own, so that not all come at once.
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

// latestSeed is the one of the last moment.
func latestSeed(window *Window) float64 {
	if window == nil {
		return 0
	}
	return 1
}

// EndsSoon says that a certificate should have been renewed long ago.
func EndsSoon(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < notAfter.Sub(notBefore)/EndsSoonShare
}

// isUrgent: another authority's certificate is better than to wait for the first one's.
func isUrgent(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < notAfter.Sub(notBefore)/reserveShare
}

// pollAfter bounds when an authority wants to be asked for its window again. 0: it does not say.
func pollAfter(wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return defaultPoll
	}
	return min(max(wanted, minPoll), maxPoll)
}

// pauseAfter so many failures in a row; an authority's own word counts when it is longer.
func pauseAfter(failures int, first, longest, wanted time.Duration, seed float64) time.Duration {
	pause := longest
	if failures < 20 {
		pause = min(first<<max(failures-1, 0), longest)
	}
	// A fifth up or down.
	pause = pause*4/5 + fraction(pause*2/5, seed)
	if wanted > pause {
		// Never before the time it says.
		pause = wanted + fraction(pause/5, seed)
	}
	return pause
}

// seedOf is a number from 0 to 1 that is the same for the same words.
func seedOf(words ...string) float64 {
	sum := fnv.New64a()
	for _, word := range words {
		_, _ = sum.Write([]byte(word + "\n"))
	}
	// FNV's high bits hardly differ for short words that end alike.
	mixed := sum.Sum64()
	mixed ^= mixed >> 33
	mixed *= 0xff51afd7ed558ccd
	mixed ^= mixed >> 33
	return float64(mixed) / math.MaxUint64
}

func fraction(of time.Duration, seed float64) time.Duration { return time.Duration(float64(of) * seed) }

// validationPause after so many failures in a row, the last of which was a validation: at first some seconds where the reason is brief. failed are the failed validations of the
// last hour.
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

// within leaves out times that were longer ago, or are yet to come by this clock.
func within(times []time.Time, length time.Duration, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(at time.Time) bool { return at.After(now) || now.Sub(at) >= length })
}
