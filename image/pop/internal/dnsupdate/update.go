// Package dnsupdate sets and removes TXT records at a name server of the user's own: updates by RFC 2136, signed by TSIG (RFC 8945).
package dnsupdate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// No resolver keeps it: names can share one TXT name, and an authority that looks for the second one's record would be given the first one's.
	ttlSeconds = 0
	// For one answer, from the connection on.
	timeout = 10 * time.Second
	// Seconds that clocks may differ by: https://www.rfc-editor.org/rfc/rfc8945#section-10
	fudge = 300
)

// Algorithms of keys.
var Algorithms = []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"}

// Server takes updates.
type Server struct {
	// host:port
	Address string
	// Name, algorithm and secret (base64) of the key.
	Key, Algorithm, Secret string
	Dialer                 *net.Dialer
}

// CheckSecret says what is wrong with a key's secret, without it.
func CheckSecret(secret string) error {
	if text, err := base64.StdEncoding.DecodeString(secret); err != nil || len(text) < 16 {
		return errors.New("the key's secret is not base64 of at least 16 bytes, as tsig-keygen and keymgr -t write it")
	}
	return nil
}

// Add a TXT record beside those that are there. One that is there already is no error.
func (s *Server) Add(ctx context.Context, zone, name, value string) error {
	return s.update(ctx, zone, name, value, (*dns.Msg).Insert)
}

// Remove one TXT record and no other. One that is not there is no error.
func (s *Server) Remove(ctx context.Context, zone, name, value string) error {
	return s.update(ctx, zone, name, value, (*dns.Msg).Remove)
}

func (s *Server) update(ctx context.Context, zone, name, value string, change func(*dns.Msg, []dns.RR)) error {
	message := new(dns.Msg).SetUpdate(zone)
	header := dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttlSeconds}
	change(message, []dns.RR{&dns.TXT{Hdr: header, Txt: []string{value}}})
	key := dns.CanonicalName(s.Key)
	message.SetTsig(key, dns.Fqdn(s.Algorithm), fudge, time.Now().Unix())
	client := &dns.Client{Net: "tcp", Timeout: timeout, Dialer: s.Dialer, TsigSecret: map[string]string{key: s.Secret}}
	response, _, err := client.ExchangeContext(ctx, message, s.Address)
	if reason := refusal(response, zone, s.Key); reason != "" {
		return fmt.Errorf("%s cannot be changed: %s", strings.TrimSuffix(name, "."), reason)
	}
	if err == nil && response.IsTsig() == nil {
		err = dns.ErrSig
	}
	if err != nil {
		return fmt.Errorf("%s cannot be changed at %s: %w", strings.TrimSuffix(name, "."), s.Address, err)
	}
	return nil
}

// refusal is why the name server did nothing; "": it did, or there is no answer.
func refusal(response *dns.Msg, zone, key string) string {
	if response == nil || response.Rcode == dns.RcodeSuccess {
		return ""
	}
	if tsig := response.IsTsig(); tsig != nil {
		switch tsig.Error {
		case dns.RcodeBadKey:
			return "the name server has no key " + key
		case dns.RcodeBadSig:
			return fmt.Sprintf("the name server has another secret for key %s, or another algorithm", key)
		case dns.RcodeBadTime:
			return "the clocks of the name server and of this PoP differ by more than five minutes"
		}
	}
	switch response.Rcode {
	case dns.RcodeRefused:
		return fmt.Sprintf("the name server does not let key %s change it: look at its update policy", key)
	case dns.RcodeNotAuth:
		return fmt.Sprintf("the name server is not the primary of %s, or does not let key %s in", zone, key)
	default:
		return "the name server answered " + dns.RcodeToString[response.Rcode]
	}
}
