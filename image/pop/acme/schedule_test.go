package acme

import (
	"testing"
	"time"
)

const day = 24 * time.Hour

var made = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestRenewalWithAThirdOfTheLifetimeLeft(t *testing.T) {
	for name, lifetime := range map[string]time.Duration{"6 days": 160 * time.Hour, "45 days": 45 * day, "90 days": 90 * day} {
		t.Run(name, func(t *testing.T) {
			ends := made.Add(lifetime)
			latest, earliest := renewAt(made, ends, nil, 0), renewAt(made, ends, nil, 1)
			if left := ends.Sub(latest); left != lifetime/3 {
				t.Errorf("%v left", left)
			}
			if spread := latest.Sub(earliest); spread != lifetime/30 {
				t.Errorf("PoPs are spread over %v", spread)
			}
			soon := ends.Add(-lifetime / endsSoonShare)
			if EndsSoon(made, ends, latest) || EndsSoon(made, ends, soon) || !EndsSoon(made, ends, soon.Add(time.Second)) {
				t.Error("EndsSoon changes at another time")
			}
			urgent := ends.Add(-lifetime / reserveShare)
			if isUrgent(made, ends, urgent) || !isUrgent(made, ends, urgent.Add(time.Second)) || !urgent.After(latest) || !soon.After(urgent) {
				t.Error("another authority is asked at another time")
			}
		})
	}
}

func TestRenewalWithinTheAuthoritysWindow(t *testing.T) {
	ends := made.Add(90 * day)
	at := func(from, to time.Duration) *Window { return &Window{made.Add(from), made.Add(to)} }
	for name, test := range map[string]struct {
		window *Window
		seed   float64
		want   time.Duration
	}{
		"its beginning":               {at(58*day, 62*day), 0, 58 * day},
		"its end":                     {at(58*day, 62*day), 1, 62 * day},
		"within":                      {at(58*day, 62*day), 0.25, 59 * day},
		"over, as after a revocation": {at(-2*day, -day), 0.5, -36 * time.Hour},
		"too late to fail once":       {at(88*day, 89*day), 0.5, 75 * day},
	} {
		t.Run(name, func(t *testing.T) {
			if found := renewAt(made, ends, test.window, test.seed); !found.Equal(made.Add(test.want)) {
				t.Errorf("at %v, wanted %v", found.Sub(made), test.want)
			}
		})
	}
}

func TestWhenTheRenewalWindowIsFetched(t *testing.T) {
	for wanted, want := range map[time.Duration]time.Duration{
		0: defaultPoll, -time.Hour: defaultPoll, time.Second: minPoll, 2 * time.Hour: 2 * time.Hour, 90 * day: maxPoll,
	} {
		if found := pollAfter(wanted); found != want {
			t.Errorf("%v becomes %v, wanted %v", wanted, found, want)
		}
	}
}

func TestPauses(t *testing.T) {
	for name, test := range map[string]struct {
		failures  int
		wanted    time.Duration
		low, high time.Duration
	}{
		"once":                             {1, 0, 4 * time.Minute, 6 * time.Minute},
		"three times":                      {3, 0, 16 * time.Minute, 24 * time.Minute},
		"many failures":                    {1000, 0, maxPause * 4 / 5, maxPause * 6 / 5},
		"the authority wants longer":       {1, 3 * time.Hour, 3 * time.Hour, 4 * time.Hour},
		"the authority wants days":         {1, 5 * day, 5 * day, 5*day + time.Hour},
		"the authority wants less":         {3, time.Minute, 16 * time.Minute, 24 * time.Minute},
		"never failed, as it cannot be so": {0, 0, 4 * time.Minute, 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seed := range []float64{0, 0.5, 1} {
				if found := pauseAfter(test.failures, firstPause, maxPause, test.wanted, seed); found < test.low || found > test.high {
					t.Errorf("%v, wanted %v to %v", found, test.low, test.high)
				}
			}
		})
	}
}

// PoPs must not all come at once: the seeds of twelve are spread, and each keeps its own.
func TestSeeds(t *testing.T) {
	halves := map[bool]int{}
	for _, pop := range []string{"cdg-1", "cdg-2", "cdg-3", "ewr-1", "ewr-2", "ewr-3", "nrt-1", "nrt-2", "nrt-3", "syd-1", "syd-2", "syd-3"} {
		seed := seedOf(pop, "7F")
		if seed < 0 || seed > 1 || seed != seedOf(pop, "7F") || seed == seedOf(pop, "80") {
			t.Errorf("%s has %v", pop, seed)
		}
		halves[seed < 0.5]++
	}
	if halves[true] < 3 || halves[false] < 3 {
		t.Errorf("%v", halves)
	}
}
