package acme

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

// checkerFixture is a name's way from DNS to port 80.
type checkerFixture struct {
	nameChecker
	dialled []string
	front   *httptest.Server
}

func newCheckerFixture(t *testing.T, edge []string, addresses []string, failure error) *checkerFixture {
	t.Helper()
	f := &checkerFixture{}
	f.tokens, f.isPrivateName = newTokenStore(), func(string) bool { return false }
	for _, text := range edge {
		f.edge = append(f.edge, netip.MustParseAddr(text))
	}
	f.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		var found []netip.Addr
		for _, text := range addresses {
			found = append(found, netip.MustParseAddr(text))
		}
		return found, failure
	}
	f.front = httptest.NewServer(newChallengeServer(f.tokens, nil, netip.Addr{}, 1107).nginxHandler())
	t.Cleanup(f.front.Close)
	f.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		f.dialled = append(f.dialled, address)
		return (&net.Dialer{}).DialContext(ctx, network, f.front.Listener.Addr().String())
	}
	return f
}

const v4, v6 = "66.241.125.4", "2a09:8280:1::7"

func TestWhereANameLeads(t *testing.T) {
	missing := &net.DNSError{Err: "no such host", IsNotFound: true}
	for name, test := range map[string]struct {
		edge, addresses []string
		failure         error
		reach           Reach
		says            string
		dialled         string
	}{
		"here, by one record":          {[]string{v4, v6}, []string{v4}, nil, reachDirect, "", v4 + ":80"},
		"here, by both":                {[]string{v4, v6}, []string{v4, v6}, nil, reachDirect, "", v4 + ":80 [" + v6 + "]:80"},
		"here, by an IPv4 as IPv6":     {[]string{v4}, []string{"::ffff:" + v4}, nil, reachDirect, "", v4 + ":80"},
		"addresses that are not known": {nil, []string{"203.0.113.9"}, nil, reachDirect, "", "203.0.113.9:80"},
		"elsewhere":                    {[]string{v4, v6}, []string{"203.0.113.9"}, nil, reachElsewhere, "resolves to 203.0.113.9, not to this edge (66.241.125.4): set its A record", ""},
		"elsewhere by IPv6":            {[]string{v4, v6}, []string{v4, "2001:db8::9"}, nil, reachElsewhere, "resolves to 2001:db8::9, not to this edge (2a09:8280:1::7): set its AAAA record", ""},
		"by IPv4 to an edge of IPv6":   {[]string{v6}, []string{v4, v6}, nil, reachElsewhere, "and this edge has no IPv4 address: remove its A record", ""},
		"nowhere":                      {[]string{v4, v6}, nil, missing, reachElsewhere, "does not resolve: set its A record to 66.241.125.4 and its AAAA record to 2a09:8280:1::7", ""},
		"nowhere, the edge not known":  {nil, nil, missing, reachElsewhere, "set its A and AAAA records to the addresses of this edge", ""},
		"DNS does not answer":          {[]string{v4}, nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}, reachUnknown, "cannot be resolved: no answer from DNS", ""},
		"DNS fails":                    {[]string{v4}, nil, &net.DNSError{Err: "server misbehaving", Server: "127.0.0.1:1104"}, reachUnknown, "cannot be resolved: server misbehaving", ""},
		"to more addresses than count": {nil, []string{"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"}, nil, reachDirect, "", "203.0.113.1:80 203.0.113.2:80 203.0.113.3:80 203.0.113.4:80"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCheckerFixture(t, test.edge, test.addresses, test.failure)
			reach, err := f.check(t.Context(), host)
			if reach != test.reach || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v: %v", reach, err)
			}
			if found := strings.Join(f.dialled, " "); found != test.dialled {
				t.Errorf("dialled %q", found)
			}
			if len(f.tokens.responses) != 0 {
				t.Error("the probe's token stays")
			}
		})
	}
}

func TestANameWhoseSignaturesAreWrong(t *testing.T) {
	f := newCheckerFixture(t, []string{v4}, nil, &net.DNSError{Err: "server misbehaving"})
	f.failureReason = func(context.Context, string) string { return "signature expired" }
	reach, err := f.check(t.Context(), host)
	if reach != reachUnknown || err == nil || !strings.Contains(err.Error(), "DNSSEC of www.example.test is broken (signature expired)") {
		t.Errorf("%v: %v", reach, err)
	}
}

func TestWhoIsAtPort80(t *testing.T) {
	other := func(handler http.HandlerFunc) func(*checkerFixture) {
		return func(f *checkerFixture) { f.front.Config.Handler = handler }
	}
	refuse := func(failure error) func(*checkerFixture) {
		return func(f *checkerFixture) {
			f.dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: failure}
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*checkerFixture)
		reach  Reach
		says   string
	}{
		"another PoP, which asks": {func(f *checkerFixture) {
			f.front.Config.Handler = newChallengeServer(f.tokens, nil, netip.Addr{}, 1107).peerHandler()
		}, reachViaPeer, ""},
		"another site": {other(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }), reachUnanswered, "answered by something else with 200"},
		"a page without end": {other(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
		}), reachUnanswered, "answered by something else with 200"},
		"who sends to https": {other(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://www.example.test/", http.StatusMovedPermanently)
		}), reachUnanswered, "answered by something else with 301"},
		"who breaks off":      {other(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), reachUnanswered, "does not answer: EOF"},
		"no listener":         {refuse(syscall.ECONNREFUSED), reachUnanswered, "port 80 of www.example.test (66.241.125.4) does not answer: connection refused"},
		"no route":            {refuse(syscall.ENETUNREACH), reachUnknown, "cannot be reached from here"},
		"no response in time": {refuse(context.DeadlineExceeded), reachUnanswered, "does not answer: no answer in 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCheckerFixture(t, []string{v4}, []string{v4}, nil)
			test.change(f)
			reach, err := f.check(t.Context(), host)
			if reach != test.reach || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v: %v", reach, err)
			}
		})
	}
}

// What a user's own name servers say of a name is not what the world sees of it.
func TestANameInAPrivateZone(t *testing.T) {
	f := newCheckerFixture(t, []string{v4}, nil, errors.New("planted: it was asked for"))
	f.isPrivateName = func(string) bool { return true }
	if reach, err := f.check(t.Context(), host); err != nil || reach != reachDirect || strings.Join(f.dialled, "") != v4+":80" {
		t.Errorf("%v: %v, dialled %v", reach, err, f.dialled)
	}
	f.edge = nil
	if reach, err := f.check(t.Context(), host); reach != reachUnknown || err == nil || !strings.Contains(err.Error(), "is in a zone of dns.forward") {
		t.Errorf("%v: %v", reach, err)
	}
}
