package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/tailnet"
)

const (
	// Answers over UDP that are not cut, https://www.dnsflagday.net/2020/
	dnsAnswerSize = 1232
	// Longer than unbound looks for an answer before it gives up.
	dnsTimeout = 20 * time.Second
	// Option of an answer that says why it is none, https://www.rfc-editor.org/rfc/rfc8914
	extendedError = 15
)

// validated are the names whose signatures matter: the root's, on which all others hang, and those of the origins.
func validated(origins []string) []string {
	names := []string{"."}
	for _, origin := range origins {
		host := tailnet.HostOf(origin)
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			names = append(names, host+".")
		}
	}
	return names
}

// validate is a round of the watch. unbound that does not answer is another fault.
func (h *health) validate(ctx context.Context) (error, bool) {
	err := askDNSSEC(ctx, h.manifest.Ports.DNS, validated(h.manifest.Origins), h.now)
	return err, err == nil
}

// askDNSSEC returns the names that unbound refuses because of their signatures: it has no answer when it checks them, and has one when it does not. A name
// that cannot be had either way is not this fault. The first refused name is enough if it is the root.
func askDNSSEC(ctx context.Context, port int, names []string, now func() time.Time) error {
	refused := []error{}
	for _, name := range names {
		why, err := signatureFault(ctx, port, name)
		if err != nil || why == "" {
			continue
		}
		if name == "." {
			return fmt.Errorf("DNSSEC fails for every name, so no public name has an address (%s); the clock here says %s", why, now().UTC().Format(time.RFC3339))
		}
		refused = append(refused, fmt.Errorf("DNSSEC fails for %s, so it has no address (%s)", strings.TrimSuffix(name, "."), why))
	}
	return errors.Join(refused...)
}

// signatureFault is "" if there is none.
func signatureFault(ctx context.Context, port int, name string) (string, error) {
	code, why, err := queryUnbound(ctx, port, name, true)
	if err != nil || code != dnsmessage.RCodeServerFailure {
		return "", err
	}
	code, _, err = queryUnbound(ctx, port, name, false)
	if err != nil || code != dnsmessage.RCodeSuccess && code != dnsmessage.RCodeNameError {
		return "", err
	}
	if why == "" {
		why = "unbound does not say why"
	}
	return why, nil
}

// queryUnbound returns the response code, and unbound's reason beside it.
func queryUnbound(ctx context.Context, port int, name string, validate bool) (dnsmessage.RCode, string, error) {
	question, err := dnsQuestion(name, validate)
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, "", err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return 0, "", err
		}
	}
	if _, err := connection.Write(question); err != nil {
		return 0, "", err
	}
	answer := make([]byte, dnsAnswerSize)
	length, err := connection.Read(answer)
	if err != nil {
		return 0, "", err
	}
	return readDNSAnswer(answer[:length])
}

func dnsQuestion(name string, validate bool) ([]byte, error) {
	parsed, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	kind := dnsmessage.TypeA
	if name == "." {
		kind = dnsmessage.TypeSOA
	}
	header := dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true, CheckingDisabled: !validate}
	builder := dnsmessage.NewBuilder(nil, header)
	var options dnsmessage.ResourceHeader
	err = errors.Join(
		builder.StartQuestions(),
		builder.Question(dnsmessage.Question{Name: parsed, Type: kind, Class: dnsmessage.ClassINET}),
		builder.StartAdditionals(),
		options.SetEDNS0(dnsAnswerSize, dnsmessage.RCodeSuccess, true),
		builder.OPTResource(options, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, err
	}
	return builder.Finish()
}

func readDNSAnswer(answer []byte) (dnsmessage.RCode, string, error) {
	var message dnsmessage.Message
	if err := message.Unpack(answer); err != nil {
		return 0, "", err
	}
	for _, additional := range message.Additionals {
		options, ok := additional.Body.(*dnsmessage.OPTResource)
		if !ok {
			continue
		}
		for _, option := range options.Options {
			if option.Code == extendedError && len(option.Data) >= 2 {
				return message.RCode, extendedErrorText(option.Data), nil
			}
		}
	}
	return message.RCode, "", nil
}

// https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml#extended-dns-error-codes
var extendedErrors = map[int]string{
	6: "DNSSEC bogus", 7: "signature expired", 8: "signature not yet valid", 9: "DNSKEY missing", 10: "signatures missing", 12: "NSEC missing",
}

func extendedErrorText(data []byte) string {
	code := int(data[0])<<8 | int(data[1])
	name, known := extendedErrors[code]
	if !known {
		name = fmt.Sprintf("extended DNS error %d", code)
	}
	if text := strings.TrimSpace(string(data[2:])); text != "" {
		return name + ", " + text
	}
	return name
}
