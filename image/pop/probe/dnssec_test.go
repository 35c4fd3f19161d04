package probe

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"fly-pops/pop/internal/resolve"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver answers each question on a port of its own as the test decides.
func resolver(t *testing.T, answer func(name string, validate bool) (dnsmessage.RCode, []dnsmessage.Option)) int {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			length, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if err := message.Unpack(buffer[:length]); err != nil {
				continue
			}
			code, options := answer(message.Questions[0].Name.String(), !message.CheckingDisabled)
			message.Response, message.RCode = true, code
			message.Additionals[0].Body = &dnsmessage.OPTResource{Options: options}
			text, err := message.Pack()
			if err != nil {
				continue
			}
			_, _ = socket.WriteTo(text, from)
		}
	}()
	return int(netip.MustParseAddrPort(socket.LocalAddr().String()).Port())
}

func expiredSignature() []dnsmessage.Option {
	return []dnsmessage.Option{{Code: resolve.ExtendedError, Data: append([]byte{0, 7}, "signature expired"...)}}
}

func TestDNSSEC(t *testing.T) {
	const servfail, fine = dnsmessage.RCodeServerFailure, dnsmessage.RCodeSuccess
	for name, test := range map[string]struct {
		answer func(name string, validate bool) (dnsmessage.RCode, []dnsmessage.Option)
		says   string
	}{
		"all is well": {func(string, bool) (dnsmessage.RCode, []dnsmessage.Option) { return fine, nil }, ""},
		"no server of any zone answers": {func(string, bool) (dnsmessage.RCode, []dnsmessage.Option) {
			return servfail, []dnsmessage.Option{{Code: resolve.ExtendedError, Data: []byte{0, 22}}}
		}, ""},
		"a name that does not exist": {func(string, bool) (dnsmessage.RCode, []dnsmessage.Option) { return dnsmessage.RCodeNameError, nil }, ""},
		"the clock is wrong": {func(_ string, validate bool) (dnsmessage.RCode, []dnsmessage.Option) {
			if validate {
				return servfail, expiredSignature()
			}
			return fine, nil
		}, "DNSSEC fails for every name, so no public name has an address (signature expired, signature expired); the PoP's clock says 2026-11-24T12:00:00Z"},
		"one origin's zone": {func(name string, validate bool) (dnsmessage.RCode, []dnsmessage.Option) {
			if validate && name == "web.example.org." {
				return servfail, []dnsmessage.Option{{Code: resolve.ExtendedError, Data: []byte{0, 9}}}
			}
			return fine, nil
		}, "DNSSEC fails for web.example.org, so it has no address (DNSKEY missing)"},
		"without a reason, and the name does not exist": {func(name string, validate bool) (dnsmessage.RCode, []dnsmessage.Option) {
			if name == "." {
				return fine, nil
			}
			if validate {
				return servfail, nil
			}
			return dnsmessage.RCodeNameError, nil
		}, "DNSSEC fails for web.example.org, so it has no address (unbound gives no reason)"},
	} {
		t.Run(name, func(t *testing.T) {
			port := resolver(t, test.answer)
			names := SignedNames([]string{"https://web.example.org:8443", "http://192.0.2.1", "http://[fd7a:115c:a1e0::1]:8080"})
			at := func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
			got := ""
			if err := DNSSEC(t.Context(), port, names, at); err != nil {
				got = err.Error()
			}
			if got != test.says {
				t.Errorf("got %q, expected %q", got, test.says)
			}
		})
	}
}

func TestSignedNamesAreTheRootAndOriginsByName(t *testing.T) {
	names := SignedNames([]string{"https://web.example.org", "http://192.0.2.1", "http://[2001:db8::1]"})
	if len(names) != 2 || names[0] != "." || names[1] != "web.example.org." {
		t.Errorf("%q", names)
	}
}
