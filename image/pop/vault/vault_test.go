package vault

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer resolves every name to 127.0.0.1, and returns the queried names.
func nameServer(t *testing.T) (address string, asked <-chan string) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	names := make(chan string, 16)
	go func() {
		packet := make([]byte, 1500)
		for {
			length, client, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(packet[:length]) != nil || len(message.Questions) != 1 {
				continue
			}
			question := message.Questions[0]
			names <- question.Name.String()
			message.Response = true
			message.Additionals = nil
			if question.Type == dnsmessage.TypeA {
				header := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 60}
				message.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
			}
			if answer, err := message.Pack(); err == nil {
				_, _ = socket.WriteTo(answer, client)
			}
		}
	}()
	return socket.LocalAddr().String(), names
}

func TestNameServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data": {"data": {"key": "k"}, "metadata": {"version": 3}}}`))
	}))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	address, asked := nameServer(t)
	client, err := New(Options{Address: "http://home.tail.internal:" + port, NameServer: address})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.Read(context.Background(), Token{}, Store{"kv", KV2}, "a")
	if err != nil || secret.Version != 3 {
		t.Fatalf("%+v, %v", secret, err)
	}
	if name := <-asked; name != "home.tail.internal." {
		t.Errorf("asked for %q", name)
	}
}

// Without one the system's resolver is used, which cannot resolve this name.
func TestNoNameServer(t *testing.T) {
	client, err := New(Options{Address: "http://home.tail.invalid:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(context.Background(), Token{}, Store{"kv", KV2}, "a"); err == nil || !strings.Contains(err.Error(), "home.tail.invalid") {
		t.Error(err)
	}
}
