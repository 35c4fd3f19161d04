package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// timeout is for local Fly, and then for the engine's name server: clients ask again after 5 s or less.
	timeout = 5 * time.Second
	// longest message there is: its length has two bytes.
	longest = 65535
	// open bounds questions under way, and with them memory: a machine that asks too much gets no answer.
	open = 256
)

type relay struct {
	engine string

	mu      sync.Mutex
	output  io.Writer
	next    uint32
	waiting map[uint32]chan []byte
	slots   chan struct{}
}

func newRelay(output io.Writer, engine string) *relay {
	return &relay{output: output, engine: engine, waiting: map[uint32]chan []byte{}, slots: make(chan struct{}, open)}
}

func (r *relay) servePackets(packets net.PacketConn) {
	buffer := make([]byte, longest)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		message := append([]byte(nil), buffer[:n]...)
		r.begin(func() {
			if answer := r.ask("udp", from, message); answer != nil {
				_, _ = packets.WriteTo(answer, from)
			}
		})
	}
}

func (r *relay) serveStreams(listener net.Listener) {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		if !r.begin(func() { r.serveStream(stream) }) {
			_ = stream.Close()
		}
	}
}

// serveStream answers one question after another until the client closes, or falls silent.
func (r *relay) serveStream(stream net.Conn) {
	defer stream.Close()
	for {
		_ = stream.SetDeadline(time.Now().Add(2 * timeout))
		message, err := readMessage(stream)
		if err != nil {
			return
		}
		answer := r.ask("tcp", stream.RemoteAddr(), message)
		if answer == nil || writeMessage(stream, answer) != nil {
			return
		}
	}
}

// begin runs work beside the caller, and says whether there was room for it.
func (r *relay) begin(work func()) bool {
	select {
	case r.slots <- struct{}{}:
		go func() {
			defer func() { <-r.slots }()
			work()
		}()
		return true
	default:
		return false
	}
}

// ask returns nil where there is no answer.
func (r *relay) ask(network string, from net.Addr, message []byte) []byte {
	asker, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return nil
	}
	number, answered := r.question(network, asker.Addr(), message)
	defer r.forget(number)
	select {
	case answer := <-answered:
		if len(answer) > 0 {
			return answer
		}
		answer, err := r.askEngine(network, message)
		if err != nil {
			return nil
		}
		return answer
	case <-time.After(timeout):
		return nil
	}
}

func (r *relay) question(network string, asker netip.Addr, message []byte) (uint32, <-chan []byte) {
	answered := make(chan []byte, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.waiting[r.next] = answered
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+1+16+len(message)))
	frame = binary.BigEndian.AppendUint32(frame, r.next)
	if network == "tcp" {
		frame = append(frame, 1)
	} else {
		frame = append(frame, 0)
	}
	address := asker.As16()
	frame = append(frame, address[:]...)
	_, _ = r.output.Write(append(frame, message...)) // the reader has gone: standard input has ended as well
	return r.next, answered
}

func (r *relay) forget(number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, number)
}

// readAnswers returns nil when the input ends between two answers.
func (r *relay) readAnswers(input io.Reader) error {
	for {
		var head [8]byte
		if _, err := io.ReadFull(input, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(head[:4])
		if length < 4 || length > 4+longest {
			return fmt.Errorf("an answer of %d bytes", length)
		}
		answer := make([]byte, length-4)
		if _, err := io.ReadFull(input, answer); err != nil {
			return err
		}
		r.mu.Lock()
		answered, ok := r.waiting[binary.BigEndian.Uint32(head[4:])]
		r.mu.Unlock()
		if ok {
			select {
			case answered <- answer:
			default: // answered before
			}
		}
	}
}

func (r *relay) askEngine(network string, message []byte) ([]byte, error) {
	engine, err := net.DialTimeout(network, r.engine, timeout)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	_ = engine.SetDeadline(time.Now().Add(timeout))
	if network == "tcp" {
		if err := writeMessage(engine, message); err != nil {
			return nil, err
		}
		return readMessage(engine)
	}
	if _, err := engine.Write(message); err != nil {
		return nil, err
	}
	buffer := make([]byte, longest)
	n, err := engine.Read(buffer)
	return buffer[:n], err
}

// readMessage and writeMessage: by TCP a message has its length in front. https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2
func readMessage(stream io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(stream, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(stream, message)
	return message, err
}

func writeMessage(stream io.Writer, message []byte) error {
	_, err := stream.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
