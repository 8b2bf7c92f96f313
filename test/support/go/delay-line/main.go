// delay-line is a long line in user space: a TCP proxy that delivers what it reads after a fixed time, each way.
// It has to cost little beside what it carries, or it is the line that is measured.
//
//	delay-line <port of 127.0.0.1> <milliseconds each way>
//
// It prints the port that it listens on, and ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	bufferBytes = 64 * 1024
	// Of one direction; the sender waits then.
	maxPartsInFlight = 1024
	// What one call of the system writes.
	maxPartsAtOnce = 16
)

// part is what one read gave. The last one has no buffer.
type part struct {
	buffer []byte
	length int
	due    time.Time
}

// stack has the buffers that are free, those used last on top: they may still be in the processor's cache.
type stack struct {
	mutex   sync.Mutex
	buffers [][]byte
}

func (s *stack) take() []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	last := len(s.buffers) - 1
	if last < 0 {
		return make([]byte, bufferBytes)
	}
	buffer := s.buffers[last]
	s.buffers = s.buffers[:last]
	return buffer
}

func (s *stack) give(parts []part) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, part := range parts {
		s.buffers = append(s.buffers, part.buffer)
	}
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: delay-line <port of 127.0.0.1> <milliseconds each way>")
	}
	milliseconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil || milliseconds < 0 {
		fail(os.Args[2] + " is not a number of milliseconds")
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	delay := time.Duration(milliseconds * float64(time.Millisecond))
	go serve(listener, net.JoinHostPort("127.0.0.1", os.Args[1]), delay)
	io.Copy(io.Discard, os.Stdin)
}

func serve(listener net.Listener, target string, delay time.Duration) {
	for {
		client, err := listener.Accept()
		if err != nil {
			fail(err.Error())
		}
		upstream, err := net.Dial("tcp4", target)
		if err != nil {
			client.Close()
			continue
		}
		go carry(client.(*net.TCPConn), upstream.(*net.TCPConn), delay)
		go carry(upstream.(*net.TCPConn), client.(*net.TCPConn), delay)
	}
}

// carry is one direction. An end passes as an end; whatever breaks breaks both ways.
func carry(from, to *net.TCPConn, delay time.Duration) {
	free := &stack{}
	inFlight := make(chan part, maxPartsInFlight)
	go deliver(to, inFlight, free)
	for {
		buffer := free.take()
		length, err := from.Read(buffer)
		if length > 0 {
			inFlight <- part{buffer, length, time.Now().Add(delay)}
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			// Broken off: the other end hears of it at once.
			to.SetLinger(0)
			to.Close()
		}
		inFlight <- part{due: time.Now().Add(delay)}
		return
	}
}

func deliver(to *net.TCPConn, inFlight <-chan part, free *stack) {
	parts := make([]part, 0, maxPartsAtOnce)
	next := <-inFlight
	for next.buffer != nil {
		time.Sleep(time.Until(next.due))
		parts = append(parts[:0], next)
		var isKnown bool
		parts, next, isKnown = takeDue(inFlight, parts)
		vector := make(net.Buffers, len(parts))
		for i, part := range parts {
			vector[i] = part.buffer[:part.length]
		}
		// Where the receiver is gone it goes nowhere; the sender hears of that by its own connection.
		vector.WriteTo(to)
		free.give(parts)
		if !isKnown {
			next = <-inFlight
		}
	}
	time.Sleep(time.Until(next.due))
	to.CloseWrite()
}

// takeDue adds what is due as well. It also returns the first part that is not to be written yet, if there is one.
func takeDue(inFlight <-chan part, parts []part) ([]part, part, bool) {
	now := time.Now()
	for len(parts) < cap(parts) {
		select {
		case next := <-inFlight:
			if next.buffer == nil || next.due.After(now) {
				return parts, next, true
			}
			parts = append(parts, next)
		default:
			return parts, part{}, false
		}
	}
	return parts, part{}, false
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "delay-line: "+message)
	os.Exit(1)
}
