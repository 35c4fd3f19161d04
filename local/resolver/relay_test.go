package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// lab is a relay on loopback, with local Fly played by a function and the engine's name server by another.
func lab(t *testing.T, localFly func(tcp bool, asker netip.Addr, message []byte) [][]byte, engine func([]byte) []byte) (udp, tcp string) {
	t.Helper()
	packets, listener := listen(t)
	enginePackets, engineListener := listen(t)
	go func() {
		buffer := make([]byte, longest)
		for {
			n, from, err := enginePackets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = enginePackets.WriteTo(engine(buffer[:n]), from)
		}
	}()
	go func() {
		for {
			stream, err := engineListener.Accept()
			if err != nil {
				return
			}
			if message, err := readMessage(stream); err == nil {
				_ = writeMessage(stream, engine(message))
			}
			_ = stream.Close()
		}
	}()
	questions, output := io.Pipe()
	input, answers := io.Pipe()
	relay := newRelay(output, enginePackets.LocalAddr().String())
	go relay.servePackets(packets)
	go relay.serveStreams(listener)
	ended := make(chan error, 1)
	go func() { ended <- relay.readAnswers(input) }()
	go func() {
		for {
			var head [4]byte
			if _, err := io.ReadFull(questions, head[:]); err != nil {
				return
			}
			frame := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(questions, frame); err != nil {
				return
			}
			for _, answer := range localFly(frame[4] == 1, netip.AddrFrom16([16]byte(frame[5:21])).Unmap(), frame[21:]) {
				head := append(binary.BigEndian.AppendUint32(nil, uint32(4+len(answer))), frame[:4]...)
				_, _ = answers.Write(append(head, answer...))
			}
		}
	}()
	t.Cleanup(func() {
		_ = answers.Close()
		if err := <-ended; err != nil {
			t.Errorf("the end of the input is an error: %v", err)
		}
		_ = output.Close()
	})
	return packets.LocalAddr().String(), listener.Addr().String()
}

// listen opens both kinds on one port of 127.0.0.1.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err != nil {
			_ = listener.Close() // the port is taken by UDP
			continue
		}
		t.Cleanup(func() { _, _ = listener.Close(), packets.Close() })
		return packets, listener
	}
}

func ask(t *testing.T, network, address, message string) (string, error) {
	t.Helper()
	stream, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	return exchange(t, stream, network, message)
}

func exchange(t *testing.T, stream net.Conn, network, message string) (string, error) {
	t.Helper()
	_ = stream.SetDeadline(time.Now().Add(20 * time.Second))
	if network == "tcp" {
		if err := writeMessage(stream, []byte(message)); err != nil {
			return "", err
		}
		answer, err := readMessage(stream)
		return string(answer), err
	}
	if _, err := stream.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, longest)
	n, err := stream.Read(buffer)
	return string(buffer[:n]), err
}

func echo(tcp bool, asker netip.Addr, message []byte) [][]byte {
	kind := "udp "
	if tcp {
		kind = "tcp "
	}
	return [][]byte{append([]byte(kind+asker.String()+" "), message...)}
}

func nothing([]byte) []byte { return []byte("engine") }

func TestQuestionsGoToLocalFlyAndAnswersBack(t *testing.T) {
	udp, tcp := lab(t, echo, nothing)
	for network, address := range map[string]string{"udp": udp, "tcp": tcp} {
		if got, err := ask(t, network, address, "who"); got != network+" 127.0.0.1 who" || err != nil {
			t.Errorf("%s: got %q, %v", network, got, err)
		}
	}
}

func TestOneStreamCarriesSeveralQuestions(t *testing.T) {
	_, tcp := lab(t, echo, nothing)
	stream, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, message := range []string{"one", "two", string(bytes.Repeat([]byte("x"), longest-14))} {
		if got, err := exchange(t, stream, "tcp", message); got != "tcp 127.0.0.1 "+message || err != nil {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

func TestNamesOfOthersAreAskedOfTheEngine(t *testing.T) {
	elsewhere := func(bool, netip.Addr, []byte) [][]byte { return [][]byte{{}} }
	udp, tcp := lab(t, elsewhere, func(message []byte) []byte { return append([]byte("engine: "), message...) })
	for network, address := range map[string]string{"udp": udp, "tcp": tcp} {
		if got, err := ask(t, network, address, "example"); got != "engine: example" || err != nil {
			t.Errorf("%s: got %q, %v", network, got, err)
		}
	}
}

func TestEachAskerGetsItsOwnAnswer(t *testing.T) {
	udp, _ := lab(t, echo, nothing)
	results := make(chan string)
	const askers = 50
	for n := range askers {
		message := string(rune('a' + n%26))
		go func() {
			got, err := ask(t, "udp", udp, message)
			if err == nil && got == "udp 127.0.0.1 "+message {
				got = ""
			}
			results <- got
		}()
	}
	for range askers {
		if got := <-results; got != "" {
			t.Errorf("got %q", got)
		}
	}
}

func TestASecondAnswerIsDropped(t *testing.T) {
	twice := func(_ bool, _ netip.Addr, message []byte) [][]byte { return [][]byte{message, []byte("again")} }
	udp, _ := lab(t, twice, nothing)
	for range 3 {
		if got, err := ask(t, "udp", udp, "once"); got != "once" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestAStreamThatIsCutIsClosed(t *testing.T) {
	_, tcp := lab(t, echo, nothing)
	stream, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	_, _ = stream.Write([]byte{0, 10, 'h', 'a', 'l', 'f'})
	_ = stream.(*net.TCPConn).CloseWrite()
	_ = stream.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("not closed: %v", err)
	}
}

func TestInputThatIsNoAnswerIsAnError(t *testing.T) {
	for name, input := range map[string][]byte{
		"shorter than a head":   {0, 0, 0},
		"no room for a number":  {0, 0, 0, 3, 0, 0, 0, 1},
		"longer than a message": {0, 2, 0, 0, 0, 0, 0, 1},
		"cut":                   {0, 0, 0, 9, 0, 0, 0, 1, 'x'},
	} {
		if err := newRelay(io.Discard, "").readAnswers(bytes.NewReader(input)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := newRelay(io.Discard, "").readAnswers(bytes.NewReader([]byte{0, 0, 0, 5, 0, 0, 0, 99, 'x'})); err != nil {
		t.Errorf("an answer without a client: %v", err)
	}
}

func TestQuestionsBeyondTheLimitAreNotHeard(t *testing.T) {
	relay := newRelay(io.Discard, "")
	done := make(chan struct{})
	defer close(done)
	for range open {
		if !relay.begin(func() { <-done }) {
			t.Fatal("no room below the limit")
		}
	}
	if relay.begin(func() {}) {
		t.Error("room above the limit")
	}
}
