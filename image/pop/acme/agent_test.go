package acme

import (
	"context"
	"errors"
	"strings"

	"crypto/ecdsa"
	"crypto/elliptic"
	"os"
	"testing"
	"time"

	"fly-pops/pop/internal/testacme"
)

func TestOneCertificateForAllNamesOfASite(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	leaf := f.leaf(host)
	if other := f.leaf(alias); !other.Equal(leaf) {
		t.Error("the alias has another certificate")
	}
	if key, is := leaf.PublicKey.(*ecdsa.PublicKey); !is || key.Curve != elliptic.P256() {
		t.Errorf("the key is a %T", leaf.PublicKey)
	}
	if own := f.own(); !own.NotAfter.Equal(leaf.NotAfter) || !own.NotBefore.Equal(leaf.NotBefore) || own.RenewAt == nil {
		t.Errorf("status %+v", own)
	}
	if info, err := os.Stat(f.config.servedFile(host)); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	files, err := os.ReadDir(f.config.Dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files in the directory: %v", len(files), err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

func TestNothingIsOrderedTwice(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.served(host)
	for range 3 {
		f.clock = f.clock.Add(time.Hour)
		f.mustRun()
		f.start()
		f.mustRun()
	}
	if orders := f.authority.Count("order"); orders != 1 || f.served(host) != before || f.authority.Count("account") != 1 {
		t.Errorf("%d orders, %d accounts", orders, f.authority.Count("account"))
	}
}

func TestRenewalByTheAuthoritysWindow(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.leaf(host)
	f.authority.Renew(before, f.clock.Add(-2*time.Hour), f.clock.Add(-time.Hour))
	f.mustRun()
	if f.authority.Issued() != 1 {
		t.Error("asked again before the time that the authority wants")
	}
	f.clock = f.clock.Add(maxPoll)
	f.mustRun()
	if f.authority.Issued() != 2 || f.leaf(host).Equal(before) {
		t.Errorf("%d certificates were issued", f.authority.Issued())
	}
	f.mustRun()
	f.start()
	f.mustRun()
	if f.authority.Issued() != 2 {
		t.Errorf("%d certificates were issued", f.authority.Issued())
	}
}

func TestRenewalWithoutAWindow(t *testing.T) {
	f := newFixture(t)
	f.authority.WithoutRenewalInfo()
	f.mustRun()
	own := f.own()
	if third := own.NotAfter.Sub(*own.NotBefore) / 3; own.NotAfter.Sub(*own.RenewAt) < third {
		t.Errorf("renewed at %v", own.RenewAt)
	}
	f.clock = own.RenewAt.Add(-time.Minute)
	f.mustRun()
	if f.authority.Issued() != 1 {
		t.Error("renewed too early")
	}
	f.clock = *own.RenewAt
	f.mustRun()
	if f.authority.Issued() != 2 {
		t.Error("not renewed")
	}
}

func TestAnotherNameIsAnotherCertificate(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	f.config.Certificates[0].Names = []string{host, alias, "shop.example.test"}
	f.addresses["shop.example.test"] = []string{}
	f.start()
	before := f.served(host)
	f.round()
	if f.served(host) != before || f.status.Certificates[2].NotAfter != nil || f.status.Certificates[0].NotAfter == nil {
		t.Errorf("status %+v", f.status)
	}
	delete(f.addresses, "shop.example.test")
	f.clock = f.clock.Add(time.Hour)
	f.mustRun()
	if !f.leaf("shop.example.test").Equal(f.leaf(host)) {
		t.Error("not one certificate for all names")
	}
}

// Certificates of a trial do not count once the stack file names the real authority.
func TestAnotherAuthorityIsAnotherCertificate(t *testing.T) {
	trial := newFixture(t)
	trial.mustRun()
	production := testacme.Start(t, testacme.Options{Now: trial.now})
	before := trial.served(host)
	trial.config.Directories = []string{production.Directory}
	trial.authority = production
	trial.start()
	if trial.served(host) != before {
		t.Error("the staging certificate is not served until then")
	}
	trial.mustRun()
	trial.leaf(host)
	if accounts := production.Accounts(); accounts != 1 {
		t.Errorf("%d accounts", accounts)
	}
}

func TestWhatNginxHasIsPutRight(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.served(alias)
	for _, text := range []string{"", "garbage", strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(f.config.servedFile(alias), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		f.mustRun()
		if f.served(alias) != before || f.authority.Issued() != 1 {
			t.Error("not put right")
		}
	}
}

func TestOneSiteThatFailsLeavesTheOthersTheirs(t *testing.T) {
	f := newFixture(t)
	f.config.Certificates = []Certificate{{Names: []string{"gone.example.test"}}, {Names: []string{host}}}
	f.addresses["gone.example.test"] = []string{}
	f.start()
	f.round()
	f.leaf(host)
	if found := f.status.Certificates; found[0].Error == "" || found[1].Error != "" {
		t.Errorf("status %+v", found)
	}
}

// Which PoPs wait with 503 for the first certificate, and which must not.
func TestHeld(t *testing.T) {
	reaches := func(f *fixture, reach Reach, err error) {
		f.agent.checkName = func(context.Context, string) (Reach, error) { return reach, err }
	}
	elsewhereErr := errors.New("resolves to 203.0.113.9")
	closed := errors.New("port 80 does not answer")
	t.Run("before anything is known", func(t *testing.T) {
		f := newFixture(t)
		f.agent.Serve(t.Context())
		if !f.status.Held {
			t.Error("not held")
		}
	})
	t.Run("a new edge, to which DNS does not lead yet", func(t *testing.T) {
		f := newFixture(t)
		reaches(f, reachElsewhere, elsewhereErr)
		f.round()
		if f.status.Held {
			t.Error("held")
		}
	})
	t.Run("no response at port 80, once that is confirmed", func(t *testing.T) {
		f := newFixture(t)
		reaches(f, reachUnanswered, closed)
		for look := 1; look <= confirmingChecks; look++ {
			f.round()
			if f.status.Held != (look < confirmingChecks) {
				t.Errorf("look %d: held %v", look, f.status.Held)
			}
			f.clock = f.clock.Add(time.Hour)
		}
	})
	t.Run("others serve, the authority is away", func(t *testing.T) {
		f := newFixture(t)
		f.authority.Problem("directory", "serverInternal", 503, "")
		reaches(f, reachViaPeer, nil)
		f.round()
		if !f.status.Held {
			t.Error("not held")
		}
		f.authority.Fault(nil)
		f.clock = f.clock.Add(time.Hour)
		f.mustRun()
		if f.status.Held {
			t.Error("held with a certificate")
		}
	})
	t.Run("in service already, and so it stays", func(t *testing.T) {
		f := newFixture(t)
		f.authority.Problem("directory", "serverInternal", 503, "")
		reaches(f, reachDirect, nil)
		f.round()
		reaches(f, reachViaPeer, nil)
		f.clock = f.clock.Add(time.Hour)
		f.round()
		if f.status.Held {
			t.Error("held")
		}
	})
	// The authority's limit lasts for days, and the process restarts within them.
	paused := func(f *fixture) {
		f.authority.Problem("order", "rateLimited", 429, "122400")
		f.round()
		f.says("the authority's limit is reached", 1)
		f.start()
	}
	// Rounds until it is put into service, and how long that takes.
	untilService := func(f *fixture) (rounds int, after time.Duration) {
		begin := f.clock
		for range 20 {
			pause := f.round()
			rounds++
			if !f.status.Held {
				return rounds, f.clock.Sub(begin)
			}
			f.clock = f.clock.Add(pause)
		}
		return 0, 0
	}
	for name, stop := range map[string]func(*fixture){
		"a pause from before a restart": paused,
		"memory stands in for the volume": func(f *fixture) {
			f.write("volume", "cannot write to the volume at /var: read-only; memory stands in for it\n")
		},
		"an order in progress from before a restart": func(f *fixture) {
			f.authority.Problem("finalize", "serverInternal", 500, "")
			f.round()
			order := f.config.readOrder(f.config.Certificates[0])
			order.RetryAt = nil
			if err := f.config.save(f.config.orderFile(f.config.Certificates[0]), order, nothingOrdered); err != nil {
				f.Fatal(err)
			}
			f.start()
		},
	} {
		t.Run(name+", no other PoP serves", func(t *testing.T) {
			f := newFixture(t)
			stop(f)
			reaches(f, reachElsewhere, elsewhereErr)
			if rounds, _ := untilService(f); rounds != 1 {
				t.Errorf("in service after %d rounds", rounds)
			}
			if strings.Contains(f.own().Error, elsewhereErr.Error()) {
				t.Errorf("says %q of what keeps nothing from being ordered", f.own().Error)
			}
		})
		t.Run(name+", no response at port 80", func(t *testing.T) {
			f := newFixture(t)
			stop(f)
			reaches(f, reachUnanswered, closed)
			if rounds, after := untilService(f); rounds != confirmingChecks || after > time.Minute {
				t.Errorf("in service after %d rounds, %v", rounds, after)
			}
		})
		t.Run(name+", others serve, and then no more", func(t *testing.T) {
			f := newFixture(t)
			stop(f)
			reaches(f, reachViaPeer, nil)
			looks, begin := 0, f.clock
			check := f.agent.checkName
			f.agent.checkName = func(ctx context.Context, name string) (Reach, error) { looks++; return check(ctx, name) }
			for f.clock.Before(begin.Add(20 * time.Minute)) {
				pause := f.round()
				if !f.status.Held {
					t.Fatal("put into service")
				}
				f.clock = f.clock.Add(pause)
			}
			if looks/len(f.config.Certificates[0].Names) > 12 {
				t.Errorf("%d looks in twenty minutes", looks)
			}
			reaches(f, reachElsewhere, elsewhereErr)
			if _, after := untilService(f); f.status.Held || after > maxCheckPause {
				t.Errorf("held %v after %v", f.status.Held, after)
			}
		})
	}
	t.Run("nothing is ordered, and whether others serve is not known", func(t *testing.T) {
		f := newFixture(t)
		f.write("volume", "memory stands in for it\n")
		reaches(f, reachUnknown, errors.New("cannot be resolved"))
		if rounds, after := untilService(f); rounds != confirmingChecks || after > time.Minute {
			t.Errorf("in service after %d rounds, %v", rounds, after)
		}
	})
	t.Run("the clock is off", func(t *testing.T) {
		f := newFixture(t)
		f.clock = time.Unix(60, 0)
		if f.round(); f.status.Held {
			t.Error("held")
		}
	})
	t.Run("a volume with a certificate from before", func(t *testing.T) {
		f := newFixture(t)
		f.mustRun()
		f.authority.Problem("directory", "serverInternal", 503, "")
		f.start()
		f.agent.Serve(t.Context())
		if f.status.Held {
			t.Error("held")
		}
	})
}

// The process continues with any contents of its files: an unreadable record counts as absent, an incomplete one as what it contains.
func TestRecordsThatAreBroken(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "garbage": "{", "a list": "[]", "half of one": `{"retryAt":"2100-01-01T00:00:00Z","error":"planted"}`,
		"an order of another authority": `{"names":["www.example.test","example.test"],"directory":"https://elsewhere.test","location":"https://elsewhere.test/order"}`,
		"an order of other names":       `{"names":["other.example.test"],"location":"https://elsewhere.test/order"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if err := os.WriteFile(f.config.orderFile(f.config.Certificates[0]), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f.start()
			if name == "half of one" {
				f.mustRun()
				if orders := f.authority.Count("order"); orders != 0 || f.status.Held {
					t.Errorf("%d orders, held %v", orders, f.status.Held)
				}
				return
			}
			f.mustRun()
			f.leaf(host)
		})
	}
}

// While there is time, a name that leads elsewhere is waited for. Before the certificate of the others ends, they get one without it.
func TestALostNameDoesNotTakeTheOthersAlong(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	f.addresses[alias] = []string{"203.0.113.9"}
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.round()
	if f.authority.Issued() != 1 {
		t.Error("not waited for")
	}
	lifetime := f.own().NotAfter.Sub(*f.own().NotBefore)
	f.clock = f.own().NotAfter.Add(-lifetime/reserveShare + time.Minute)
	f.round()
	if leaf := f.leaf(host); f.authority.Issued() != 2 || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != host {
		t.Errorf("%d certificates, the last for %v", f.authority.Issued(), leaf.DNSNames)
	}
	if own := f.status.Certificates[1]; !strings.Contains(own.Error, "example.test resolves to 203.0.113.9") || own.NotAfter != nil {
		t.Errorf("status %+v", own)
	}
	// The authority goes by its own clock; for the PoP's the new one is nearly over as well, so the hours after are not looked at.
	delete(f.addresses, alias)
	f.clock = time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	f.start()
	f.mustRun()
	if leaf := f.leaf(alias); f.authority.Issued() != 3 || len(leaf.DNSNames) != 2 {
		t.Errorf("%d certificates, the last for %v", f.authority.Issued(), leaf.DNSNames)
	}
	f.addresses[alias] = []string{}
	f.mustRun()
	if f.authority.Issued() != 3 {
		t.Error("ordered once more")
	}
}
