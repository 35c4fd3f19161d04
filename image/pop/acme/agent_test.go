package acme

import (
	"context"
	"errors"
	"strings"

	"crypto/ecdsa"
	"crypto/elliptic"
	"fly-pops/pop/internal/testacme"
	"os"
	"testing"
	"time"
)

func TestOneCertificateForAllNamesOfASite(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	leaf := it.leaf(host)
	if other := it.leaf(alias); !other.Equal(leaf) {
		t.Error("the alias has another certificate")
	}
	if key, is := leaf.PublicKey.(*ecdsa.PublicKey); !is || key.Curve != elliptic.P256() {
		t.Errorf("the key is a %T", leaf.PublicKey)
	}
	if own := it.own(); !own.NotAfter.Equal(leaf.NotAfter) || !own.NotBefore.Equal(leaf.NotBefore) || own.RenewAt == nil {
		t.Errorf("status %+v", own)
	}
	if info, err := os.Stat(it.config.servedFile(host)); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	files, err := os.ReadDir(it.config.Folder)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files in the folder: %v", len(files), err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

func TestNothingIsOrderedTwice(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.served(host)
	for range 3 {
		it.clock = it.clock.Add(time.Hour)
		it.mustRound()
		it.start()
		it.mustRound()
	}
	if orders := it.authority.Count("order"); orders != 1 || it.served(host) != before || it.authority.Count("account") != 1 {
		t.Errorf("%d orders, %d accounts", orders, it.authority.Count("account"))
	}
}

func TestRenewalByTheAuthoritysWindow(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.leaf(host)
	it.authority.Renew(before, it.clock.Add(-2*time.Hour), it.clock.Add(-time.Hour))
	it.mustRound()
	if it.authority.Issued() != 1 {
		t.Error("asked again before the time that the authority wants")
	}
	it.clock = it.clock.Add(longestPoll)
	it.mustRound()
	if it.authority.Issued() != 2 || it.leaf(host).Equal(before) {
		t.Errorf("%d certificates were issued", it.authority.Issued())
	}
	it.mustRound()
	it.start()
	it.mustRound()
	if it.authority.Issued() != 2 {
		t.Errorf("%d certificates were issued", it.authority.Issued())
	}
}

func TestRenewalWithoutAWindow(t *testing.T) {
	it := newWorld(t)
	it.authority.WithoutRenewalInfo()
	it.mustRound()
	own := it.own()
	if third := own.NotAfter.Sub(*own.NotBefore) / 3; own.NotAfter.Sub(*own.RenewAt) < third {
		t.Errorf("renewed at %v", own.RenewAt)
	}
	it.clock = own.RenewAt.Add(-time.Minute)
	it.mustRound()
	if it.authority.Issued() != 1 {
		t.Error("renewed too early")
	}
	it.clock = *own.RenewAt
	it.mustRound()
	if it.authority.Issued() != 2 {
		t.Error("not renewed")
	}
}

func TestAnotherNameIsAnotherCertificate(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	it.config.Certificates[0].Names = []string{host, alias, "shop.example.test"}
	it.addresses["shop.example.test"] = []string{}
	it.start()
	before := it.served(host)
	it.round()
	if it.served(host) != before || it.status.Certificates[2].NotAfter != nil || it.status.Certificates[0].NotAfter == nil {
		t.Errorf("status %+v", it.status)
	}
	delete(it.addresses, "shop.example.test")
	it.clock = it.clock.Add(time.Hour)
	it.mustRound()
	if !it.leaf("shop.example.test").Equal(it.leaf(host)) {
		t.Error("not one certificate for all names")
	}
}

// Certificates for trials are none once the stack file names the authority in earnest.
func TestAnotherAuthorityIsAnotherCertificate(t *testing.T) {
	trial := newWorld(t)
	trial.mustRound()
	earnest := testacme.Start(t, testacme.Options{Now: trial.now})
	before := trial.served(host)
	trial.config.Directories = []string{earnest.Directory}
	trial.authority = earnest
	trial.start()
	if trial.served(host) != before {
		t.Error("the one for trials does not serve meanwhile")
	}
	trial.mustRound()
	trial.leaf(host)
	if accounts := earnest.Accounts(); accounts != 1 {
		t.Errorf("%d accounts", accounts)
	}
}

func TestWhatNginxHasIsPutRight(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.served(alias)
	for _, text := range []string{"", "garbage", strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(it.config.servedFile(alias), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		it.mustRound()
		if it.served(alias) != before || it.authority.Issued() != 1 {
			t.Error("not put right")
		}
	}
}

func TestOneSiteThatFailsLeavesTheOthersTheirs(t *testing.T) {
	it := newWorld(t)
	it.config.Certificates = []Certificate{{Names: []string{"gone.example.test"}}, {Names: []string{host}}}
	it.addresses["gone.example.test"] = []string{}
	it.start()
	it.round()
	it.leaf(host)
	if found := it.status.Certificates; found[0].Error == "" || found[1].Error != "" {
		t.Errorf("status %+v", found)
	}
}

// Who waits with 503 for the first certificate, and who must not.
func TestHeld(t *testing.T) {
	reaches := func(it *world, reach Reach, err error) {
		it.agent.look = func(context.Context, string) (Reach, error) { return reach, err }
	}
	elsewhereErr := errors.New("resolves to 203.0.113.9")
	closed := errors.New("port 80 does not answer")
	t.Run("before anything is known", func(t *testing.T) {
		it := newWorld(t)
		it.agent.Serve(t.Context())
		if !it.status.Held {
			t.Error("not held")
		}
	})
	t.Run("a new edge, to which DNS does not lead yet", func(t *testing.T) {
		it := newWorld(t)
		reaches(it, elsewhere, elsewhereErr)
		it.round()
		if it.status.Held {
			t.Error("held")
		}
	})
	t.Run("nobody at port 80, once that is believed", func(t *testing.T) {
		it := newWorld(t)
		reaches(it, unanswered, closed)
		for look := 1; look <= looksBelieved; look++ {
			it.round()
			if it.status.Held != (look < looksBelieved) {
				t.Errorf("look %d: held %v", look, it.status.Held)
			}
			it.clock = it.clock.Add(time.Hour)
		}
	})
	t.Run("others serve, the authority is away", func(t *testing.T) {
		it := newWorld(t)
		it.authority.Problem("directory", "serverInternal", 503, "")
		reaches(it, viaPeer, nil)
		it.round()
		if !it.status.Held {
			t.Error("not held")
		}
		it.authority.Fault(nil)
		it.clock = it.clock.Add(time.Hour)
		it.mustRound()
		if it.status.Held {
			t.Error("held with a certificate")
		}
	})
	t.Run("in service already, and so it stays", func(t *testing.T) {
		it := newWorld(t)
		it.authority.Problem("directory", "serverInternal", 503, "")
		reaches(it, direct, nil)
		it.round()
		reaches(it, viaPeer, nil)
		it.clock = it.clock.Add(time.Hour)
		it.round()
		if it.status.Held {
			t.Error("held")
		}
	})
	t.Run("a volume with a certificate from before", func(t *testing.T) {
		it := newWorld(t)
		it.mustRound()
		it.authority.Problem("directory", "serverInternal", 503, "")
		it.start()
		it.agent.Serve(t.Context())
		if it.status.Held {
			t.Error("held")
		}
	})
}

// Whatever is in the files of the folder, the process goes on: a record that cannot be read is none, and half of one is what it says.
func TestRecordsThatAreBroken(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "garbage": "{", "a list": "[]", "half of one": `{"retryAt":"2100-01-01T00:00:00Z","error":"planted"}`,
		"an order of another authority": `{"names":["www.example.test","example.test"],"directory":"https://elsewhere.test","location":"https://elsewhere.test/order"}`,
		"an order of other names":       `{"names":["other.example.test"],"location":"https://elsewhere.test/order"}`,
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			if err := os.WriteFile(it.config.orderFile(it.config.Certificates[0]), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			it.start()
			if name == "half of one" {
				it.mustRound()
				if orders := it.authority.Count("order"); orders != 0 {
					t.Errorf("%d orders", orders)
				}
				return
			}
			it.mustRound()
			it.leaf(host)
		})
	}
}

// While there is time a name that leads elsewhere is waited for. Before the certificate of the others ends, they get one without it.
func TestALostNameDoesNotTakeTheOthersAlong(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	it.addresses[alias] = []string{"203.0.113.9"}
	it.clock = it.own().RenewAt.Add(time.Minute)
	it.round()
	if it.authority.Issued() != 1 {
		t.Error("not waited for")
	}
	lifetime := it.own().NotAfter.Sub(*it.own().NotBefore)
	it.clock = it.own().NotAfter.Add(-lifetime/reserveShare + time.Minute)
	it.round()
	if leaf := it.leaf(host); it.authority.Issued() != 2 || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != host {
		t.Errorf("%d certificates, the last for %v", it.authority.Issued(), leaf.DNSNames)
	}
	if own := it.status.Certificates[1]; !strings.Contains(own.Error, "example.test resolves to 203.0.113.9") || own.NotAfter != nil {
		t.Errorf("status %+v", own)
	}
	// The authority goes by its own clock; for the PoP's the new one is nearly over as well, so the hours after are not looked at.
	delete(it.addresses, alias)
	it.clock = time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	it.start()
	it.mustRound()
	if leaf := it.leaf(alias); it.authority.Issued() != 3 || len(leaf.DNSNames) != 2 {
		t.Errorf("%d certificates, the last for %v", it.authority.Issued(), leaf.DNSNames)
	}
	it.addresses[alias] = []string{}
	it.mustRound()
	if it.authority.Issued() != 3 {
		t.Error("ordered once more")
	}
}
