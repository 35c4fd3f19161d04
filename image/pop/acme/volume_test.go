package acme

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// volume gives the PoP a volume of its own, which can become read-only.
func (f *fixture) volume() (setReadOnly func(bool)) {
	f.Helper()
	f.mount(f.config.Dir, 0, "size=256k")
	return func(isReadOnly bool) {
		flags := uintptr(unix.MS_REMOUNT)
		if isReadOnly {
			flags |= unix.MS_RDONLY
		}
		if err := unix.Mount("", f.config.Dir, "", flags, ""); err != nil {
			f.Error(err)
		}
	}
}

// follow runs the rounds of a span of time, which passes for other PoPs as well. It returns how many there were, and the errors in their order, each once until
// another one follows.
func (f *fixture) follow(span time.Duration, others ...*fixture) (rounds int, errors []string) {
	f.Helper()
	for end := f.clock.Add(span); f.clock.Before(end) && rounds < 1000; rounds++ {
		pause := f.round()
		if said := f.own().Error + f.status.Error; len(errors) == 0 || errors[len(errors)-1] != said {
			errors = append(errors, said)
		}
		f.clock = f.clock.Add(pause)
		for _, other := range others {
			other.clock = f.clock
		}
	}
	return rounds, errors
}

// atOnce does something at the first request of an operation.
func (f *fixture) atOnce(operation string, what func()) {
	done := false
	f.authority.OnRequest(func(at string) {
		if at == operation && !done {
			done = true
			what()
		}
	})
}

// An order in progress waits like every other failure, and its certificate is installed once the volume can be written to.
func TestAnOrderInProgressOnAVolumeThatTakesNothing(t *testing.T) {
	f := newFixture(t)
	setReadOnly := f.volume()
	f.atOnce("certificate", func() { setReadOnly(true) })
	rounds, said := f.follow(24 * time.Hour)
	if len(said) != 1 || !strings.Contains(said[0], "the certificate that was issued cannot be written") {
		t.Errorf("says %q", said)
	}
	// Pauses double from 5 minutes, and a round is never later than 10 minutes.
	if asked := f.authority.Count("read order"); asked > 10 || rounds > 200 {
		t.Errorf("asked the authority %d times in %d rounds of a day", asked, rounds)
	}
	setReadOnly(false)
	f.clock = f.clock.Add(maxPause * 2)
	f.mustRun()
	f.leaf(host)
	if orders := f.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// What the volume did not take is saved once it can be written to, so that a restart does not forget it.
func TestWhatAVolumeDidNotTakeIsSavedLater(t *testing.T) {
	f := newFixture(t)
	setReadOnly := f.volume()
	f.atOnce("certificate", func() { setReadOnly(true) })
	f.round()
	retry := *f.own().RetryAt
	setReadOnly(false)
	f.clock = f.clock.Add(time.Minute)
	f.round()
	f.start()
	f.round()
	f.says("the certificate that was issued cannot be written", 1)
	if own := f.own(); own.RetryAt == nil || !own.RetryAt.Equal(retry) {
		t.Errorf("the next attempt is at %v, expected %v", own.RetryAt, retry)
	}
}

// The certificate counts even though its state cannot be saved.
func TestACertificateWhoseStateCannotBeSaved(t *testing.T) {
	f := newFixture(t)
	file := f.config.orderFile(f.config.Certificates[0])
	f.atOnce("certificate", func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		if err := os.MkdirAll(filepath.Join(file, "in the way"), 0o700); err != nil {
			t.Error(err)
		}
	})
	f.round()
	f.says("the volume cannot be written to, so the state of this certificate is lost if `pop certs` restarts", 1)
	f.leaf(host)
	rounds, _ := f.follow(time.Hour)
	if orders := f.authority.Count("order"); orders != 1 || rounds > 10 {
		t.Errorf("%d orders in %d rounds", orders, rounds)
	}
}

// The file of the request stays on a read-only volume, and is one attempt all the same.
func TestARequestedRenewalOnAVolumeThatTakesNothing(t *testing.T) {
	f := newFixture(t)
	setReadOnly := f.volume()
	f.mustRun()
	f.request(0)
	setReadOnly(true)
	before := f.authority.Count("directory")
	f.round()
	f.says("the volume cannot be written to, so nothing is ordered", 1)
	if !f.requested(0) || f.agent.IsRequested() {
		t.Errorf("file there: %v, requested: %v", f.requested(0), f.agent.IsRequested())
	}
	f.follow(time.Hour)
	if asked := f.authority.Count("directory") - before; asked != 1 {
		t.Errorf("asked the authority %d times", asked)
	}
	setReadOnly(false)
	f.request(0)
	f.mustRun()
	if orders := f.authority.Count("order"); orders != 2 || f.requested(0) {
		t.Errorf("%d orders", orders)
	}
}

// The file of a request that was attempted goes once it can be removed, so that a restart does not attempt it again.
func TestARequestOnAVolumeThatCanBeWrittenToAgain(t *testing.T) {
	f := newFixture(t)
	setReadOnly := f.volume()
	f.mustRun()
	f.request(0)
	setReadOnly(true)
	f.round()
	setReadOnly(false)
	f.round()
	if f.requested(0) {
		t.Error("the file is still there")
	}
	f.clock = f.clock.Add(maxPause * 2)
	f.start()
	f.mustRun()
	if orders := f.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// The list of files of removed sites has nothing to do with orders.
func TestAListOfUnusedFilesThatCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	setReadOnly := f.volume()
	f.mustRun()
	f.plant(filepath.Join(f.config.Dir, "gone.example.test.pem"))
	setReadOnly(true)
	f.clock = f.clock.Add(2 * time.Hour)
	f.round()
	f.round()
	f.says("the volume cannot be written to, so the files of removed sites are kept longer", 1)
	if strings.Contains(f.status.Error, "ordered") {
		t.Error(f.status.Error)
	}
}

// A certificate of another PoP that cannot be written is asked for with growing pauses.
func TestASharedCertificateOnAVolumeThatTakesNothing(t *testing.T) {
	fleet := sharedFleet(t, 2)
	first, second := fleet[0], fleet[1]
	first.mustRun()
	setReadOnly := second.volume()
	setReadOnly(true)
	rounds, said := second.follow(6*time.Hour, first)
	if len(said) != 1 || !strings.Contains(said[0], "the certificate that was issued cannot be written") || rounds > 60 {
		t.Errorf("says %q in %d rounds of six hours", slices.Compact(said), rounds)
	}
	setReadOnly(false)
	second.clock = second.clock.Add(maxPause * 2)
	first.clock = second.clock
	second.mustRun()
	if orders := first.authority.Count("order"); orders != 1 || !second.leaf(host).Equal(first.leaf(host)) {
		t.Errorf("%d orders", orders)
	}
}

// The wait for the PoPs before begins with each time that a certificate is due, also shortly after the others were asked.
func TestThePoPsBeforeAreWaitedForEachTimeACertificateIsDue(t *testing.T) {
	second := sharedFleet(t, 2)[1]
	second.mustRun()
	second.clock = second.clock.Add(shareWait)
	// The authority wants the certificate renewed as soon as it is issued.
	second.authority.Change("renewal info", func(response map[string]any) {
		past := func(hours int) string {
			return second.clock.Add(-time.Duration(hours) * time.Hour).Format(time.RFC3339)
		}
		response["suggestedWindow"] = map[string]any{"start": past(2), "end": past(1)}
	})
	second.mustRun()
	for waited := time.Duration(0); waited < shareWait-time.Second; waited += time.Second {
		second.clock = second.clock.Add(time.Second)
		second.round()
		if orders := second.authority.Count("order"); orders != 1 {
			t.Fatalf("%d orders after %v", orders, waited)
		}
	}
	second.clock = second.clock.Add(shareWait)
	second.round()
	if orders := second.authority.Count("order"); orders != 2 {
		t.Errorf("%d orders", orders)
	}
}
