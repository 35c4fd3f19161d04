package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// Size of UDP responses that are not fragmented: https://www.dnsflagday.net/2020/
	udpSize = 1232
	// Longer than unbound's own timeout.
	queryTimeout = 20 * time.Second
	// ExtendedError is the EDNS option with the reason of a failure: https://www.rfc-editor.org/rfc/rfc8914
	ExtendedError = 15
)

// Answer is a name server's response.
type Answer struct {
	Code dnsmessage.RCode
	// The reason of a failure, such as "signature expired". "": the server does not say.
	Reason string
	// The answer section, including CNAMEs.
	Resources []dnsmessage.Resource
	// The authority section: the zone's SOA if there is no answer.
	Authorities []dnsmessage.Resource
	// The server is authoritative for the zone.
	Authoritative bool
}

// Question is a query.
type Question struct {
	// Name with its final dot, such as www.example.org.
	Name string
	Type dnsmessage.Type
	// Whether to turn off DNSSEC validation.
	Unchecked bool
}

// Client makes queries that Go's resolver has no method for.
type Client struct {
	// Resolves the names of servers. nil: the system's resolver does.
	Dialer *net.Dialer
	// Use TCP only. On a long way to a server, packets may be lost.
	TCP bool
}

// Query queries a server nearby, such as 127.0.0.1:1104.
func Query(ctx context.Context, server string, question Question) (Answer, error) {
	return Client{}.Query(ctx, server, question)
}

// Query queries a server, host:port. After a truncated response it repeats the query over TCP.
func (c Client) Query(ctx context.Context, server string, question Question) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	id := uint16(rand.Uint32())
	text, err := pack(question, id)
	if err != nil {
		return Answer{}, err
	}
	network := "udp"
	if c.TCP {
		network = "tcp"
	}
	message, err := c.exchange(ctx, network, server, text)
	if err == nil && message.Truncated && !c.TCP {
		message, err = c.exchange(ctx, "tcp", server, text)
	}
	if err != nil {
		return Answer{}, err
	}
	if message.ID != id || !message.Response {
		return Answer{}, fmt.Errorf("%s responded to another query", server)
	}
	return Answer{
		Code: message.RCode, Reason: reason(message), Resources: message.Answers, Authorities: message.Authorities, Authoritative: message.Authoritative,
	}, nil
}

func pack(question Question, id uint16) ([]byte, error) {
	name, err := dnsmessage.NewName(question.Name)
	if err != nil {
		return nil, err
	}
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true, CheckingDisabled: question.Unchecked})
	var options dnsmessage.ResourceHeader
	err = errors.Join(
		builder.StartQuestions(),
		builder.Question(dnsmessage.Question{Name: name, Type: question.Type, Class: dnsmessage.ClassINET}),
		builder.StartAdditionals(),
		options.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, true),
		builder.OPTResource(options, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, err
	}
	return builder.Finish()
}

// exchange sends a query and reads the response. Over TCP each has a length prefix.
func (c Client) exchange(ctx context.Context, network, server string, question []byte) (dnsmessage.Message, error) {
	var message dnsmessage.Message
	dialer := c.Dialer
	if dialer == nil {
		dialer = &net.Dialer{}
	}
	connection, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return message, err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return message, err
		}
	}
	if network == "tcp" {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
	}
	if _, err := connection.Write(question); err != nil {
		return message, err
	}
	text := make([]byte, udpSize)
	if network == "tcp" {
		var length [2]byte
		if _, err := io.ReadFull(connection, length[:]); err != nil {
			return message, err
		}
		text = make([]byte, binary.BigEndian.Uint16(length[:]))
		_, err = io.ReadFull(connection, text)
	} else {
		var length int
		length, err = connection.Read(text)
		text = text[:length]
	}
	if err != nil {
		return message, err
	}
	return message, message.Unpack(text)
}

func reason(message dnsmessage.Message) string {
	for _, additional := range message.Additionals {
		options, ok := additional.Body.(*dnsmessage.OPTResource)
		if !ok {
			continue
		}
		for _, option := range options.Options {
			if option.Code == ExtendedError && len(option.Data) >= 2 {
				return extendedErrorText(option.Data)
			}
		}
	}
	return ""
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

// IsDNSSEC says whether a reason is about DNSSEC signatures.
func IsDNSSEC(reason string) bool {
	for _, text := range extendedErrors {
		if strings.HasPrefix(reason, text) {
			return true
		}
	}
	return false
}
