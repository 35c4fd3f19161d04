package resolve

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/testdns"
)

// serve answers on one port, by UDP and by TCP, with what a test makes of each question.
func serve(t *testing.T, answer func(message *dnsmessage.Message, network string)) string {
	t.Helper()
	listener, socket := testdns.Listen(t)
	respond := func(question []byte, network string) []byte {
		var message dnsmessage.Message
		if message.Unpack(question) != nil {
			return nil
		}
		message.Response = true
		answer(&message, network)
		text, _ := message.Pack()
		return text
	}
	go func() {
		for {
			buffer := make([]byte, 4096)
			length, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo(respond(buffer[:length], "udp"), from)
		}
	}()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			var length [2]byte
			_, _ = io.ReadFull(connection, length[:])
			question := make([]byte, binary.BigEndian.Uint16(length[:]))
			_, _ = io.ReadFull(connection, question)
			text := respond(question, "tcp")
			_, _ = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...))
			connection.Close()
		}
	}()
	return listener.Addr().String()
}

func TestATruncatedResponseIsRepeatedOverTCP(t *testing.T) {
	long := strings.Repeat("x", 250)
	server := serve(t, func(message *dnsmessage.Message, network string) {
		if network == "udp" {
			message.Truncated = true
			return
		}
		for range 20 {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.TXTResource{TXT: []string{long}},
			})
		}
	})
	answer, err := Query(t.Context(), server, Question{Name: "www.example.org.", Type: dnsmessage.TypeTXT})
	if err != nil || len(answer.Resources) != 20 {
		t.Errorf("%d records, %v", len(answer.Resources), err)
	}
}

func TestTheReasonOfAFailure(t *testing.T) {
	server := serve(t, func(message *dnsmessage.Message, _ string) {
		if message.CheckingDisabled {
			return
		}
		message.RCode = dnsmessage.RCodeServerFailure
		message.Additionals[0].Body = &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: ExtendedError, Data: append([]byte{0, 7}, "of the root"...)}}}
	})
	answer, err := Query(t.Context(), server, Question{Name: "www.example.org.", Type: dnsmessage.TypeA})
	if err != nil || answer.Code != dnsmessage.RCodeServerFailure || answer.Reason != "signature expired, of the root" || !IsDNSSEC(answer.Reason) {
		t.Errorf("%+v, %v", answer, err)
	}
	answer, err = Query(t.Context(), server, Question{Name: "www.example.org.", Type: dnsmessage.TypeA, Unchecked: true})
	if err != nil || answer.Code != dnsmessage.RCodeSuccess || answer.Reason != "" || IsDNSSEC("extended DNS error 22") {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestInvalidResponses(t *testing.T) {
	other := serve(t, func(message *dnsmessage.Message, _ string) { message.ID++ })
	if _, err := Query(t.Context(), other, Question{Name: "www.example.org.", Type: dnsmessage.TypeA}); err == nil || !strings.Contains(err.Error(), "responded to another query") {
		t.Errorf("%v", err)
	}
	if _, err := Query(t.Context(), other, Question{Name: strings.Repeat("x", 300), Type: dnsmessage.TypeA}); err == nil {
		t.Error("a name that is too long is asked for")
	}
}

// What a zone's own server says: of the zone where there is no answer, and that it has it. A client over TCP sends no packet.
func TestAZonesOwnServer(t *testing.T) {
	var networks []string
	server := serve(t, func(message *dnsmessage.Message, network string) {
		networks = append(networks, network)
		message.Authoritative = true
		message.Authorities = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("example.org."), Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("ns1.example.org."), MBox: dnsmessage.MustNewName("hostmaster.example.org.")},
		}}
	})
	answer, err := Client{TCP: true}.Query(t.Context(), server, Question{Name: "www.example.org.", Type: dnsmessage.TypeSOA})
	if err != nil || !answer.Authoritative || len(answer.Resources) != 0 || len(answer.Authorities) != 1 || answer.Authorities[0].Header.Type != dnsmessage.TypeSOA {
		t.Errorf("%+v, %v", answer, err)
	}
	if strings.Join(networks, " ") != "tcp" {
		t.Errorf("asked over %v", networks)
	}
	// A server may have a name that only another resolver knows.
	_, port, _ := net.SplitHostPort(server)
	dialer := &net.Dialer{Resolver: By(testdns.InProcess(t, testdns.Faults{}).Address)}
	if _, err := (Client{Dialer: dialer, TCP: true}).Query(t.Context(), "ns1.example.test:"+port, Question{Name: "www.example.org.", Type: dnsmessage.TypeSOA}); err != nil {
		t.Error(err)
	}
}
