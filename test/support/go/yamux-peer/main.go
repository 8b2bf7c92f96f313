// The reference implementation of yamux as a peer for tests. It listens on loopback, plain and with TLS, and prints
// both ports. A connection begins with one line of JSON (settings); then it is a yamux session in which either side
// may open streams. A stream from the test begins with one line: a command and its arguments.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

type settings struct {
	// client or server, of yamux.
	Role           string `json:"role"`
	WindowBytes    uint32 `json:"windowBytes"`
	KeepAliveMs    int    `json:"keepAliveMs"`
	CloseTimeoutMs int    `json:"closeTimeoutMs"`
	OpenTimeoutMs  int    `json:"openTimeoutMs"`
	// Of the socket, both ways; 0 is the system's choice.
	BufferBytes int `json:"bufferBytes"`
}

func main() {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned()}, MinVersion: tls.VersionTLS13}
	go serve(plain, func(conn net.Conn) net.Conn { return conn })
	go serve(secure, func(conn net.Conn) net.Conn { return tls.Server(conn, config) })
	fmt.Printf("{\"plain\":%d,\"tls\":%d}\n", port(plain), port(secure))
	// The test holds our standard input open for as long as it lives.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func serve(listener net.Listener, wrap func(net.Conn) net.Conn) {
	for {
		conn, err := listener.Accept()
		check(err)
		go runSession(conn.(*net.TCPConn), wrap)
	}
}

func runSession(tcp *net.TCPConn, wrap func(net.Conn) net.Conn) {
	conn := wrap(tcp)
	defer conn.Close()
	line, err := readLine(conn)
	if err != nil {
		return
	}
	var s settings
	check(json.Unmarshal([]byte(line), &s))
	if s.BufferBytes > 0 {
		check(tcp.SetReadBuffer(s.BufferBytes))
		check(tcp.SetWriteBuffer(s.BufferBytes))
	}
	session, err := newSession(conn, s)
	check(err)
	defer session.Close()
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go handle(session, stream)
	}
}

func newSession(conn net.Conn, s settings) (*yamux.Session, error) {
	config := yamux.DefaultConfig()
	if os.Getenv("YAMUX_PEER_LOG") == "" {
		config.LogOutput = io.Discard
	}
	if s.WindowBytes > 0 {
		config.MaxStreamWindowSize = s.WindowBytes
	}
	if s.KeepAliveMs > 0 {
		config.KeepAliveInterval = time.Duration(s.KeepAliveMs) * time.Millisecond
		config.ConnectionWriteTimeout = 2 * time.Second
	}
	if s.CloseTimeoutMs > 0 {
		config.StreamCloseTimeout = time.Duration(s.CloseTimeoutMs) * time.Millisecond
	}
	if s.OpenTimeoutMs > 0 {
		config.StreamOpenTimeout = time.Duration(s.OpenTimeoutMs) * time.Millisecond
	}
	if s.Role == "client" {
		return yamux.Client(conn, config)
	}
	return yamux.Server(conn, config)
}

func handle(session *yamux.Session, stream *yamux.Stream) {
	line, err := readLine(stream)
	if err != nil {
		stream.Close()
		return
	}
	words := strings.Fields(line)
	number := func(index int) int {
		value, err := strconv.Atoi(words[index])
		check(err)
		return value
	}
	switch words[0] {
	case "echo":
		_, _ = io.Copy(stream, stream)
		stream.Close()
	case "exchange":
		exchange(stream, number(1))
	case "hash":
		// The answer comes after the end of the question: a half-closed stream.
		fmt.Fprint(stream, hashOf(stream))
		stream.Close()
	case "source-then-hash":
		// Ends its own half first and reads on.
		_, _ = io.Copy(stream, pattern(number(1)))
		stream.Close()
		report := hashOf(stream)
		answer, err := session.Open()
		if err == nil {
			fmt.Fprint(answer, report)
			answer.Close()
		}
	case "stall":
		// Neither reads nor ends.
	case "close":
		// With a close timeout and a peer that does not end its half, a RST follows.
		stream.Close()
	case "open":
		reply(stream, openMany(session, number(1), number(2)))
	case "ping":
		_, err := session.Ping()
		reply(stream, err)
	case "streams":
		fmt.Fprint(stream, session.NumStreams())
		stream.Close()
	case "goaway":
		reply(stream, session.GoAway())
	default:
		reply(stream, fmt.Errorf("unknown command %q", line))
	}
}

// exchange sends so many bytes while it reads to the end, and last the hash of what it read.
func exchange(stream *yamux.Stream, bytes int) {
	read := make(chan string)
	go func() { read <- hashOf(stream) }()
	_, err := io.Copy(stream, pattern(bytes))
	report := <-read
	if err == nil {
		fmt.Fprint(stream, report)
	}
	stream.Close()
}

// openMany opens streams at the same time, each of which must get back what it sends.
func openMany(session *yamux.Session, count int, bytes int) error {
	var group sync.WaitGroup
	failures := make(chan error, count)
	for index := 0; index < count; index++ {
		group.Add(1)
		go func() {
			defer group.Done()
			failures <- openEcho(session, bytes)
		}()
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

func openEcho(session *yamux.Session, bytes int) error {
	stream, err := session.Open()
	if err != nil {
		return err
	}
	defer stream.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, pattern(bytes))
		if err == nil {
			err = stream.Close()
		}
		failed <- err
	}()
	got := hashOf(stream)
	if err := <-failed; err != nil {
		return err
	}
	if want := hashOf(pattern(bytes)); got != want {
		return fmt.Errorf("the echo of %d bytes has hash %s instead of %s", bytes, got, want)
	}
	return nil
}

func reply(stream *yamux.Stream, err error) {
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	fmt.Fprint(stream, text)
	stream.Close()
}

func hashOf(reader io.Reader) string {
	hash := sha256.New()
	_, _ = io.Copy(hash, reader)
	return hex.EncodeToString(hash.Sum(nil))
}

// pattern is the bytes 0, 1, … 250, 0, 1, …: 251 is prime, so that a lost or doubled frame shows.
func pattern(bytes int) io.Reader {
	return io.LimitReader(&patternReader{}, int64(bytes))
}

type patternReader struct{ next byte }

func (p *patternReader) Read(into []byte) (int, error) {
	for index := range into {
		into[index] = p.next
		p.next = (p.next + 1) % 251
	}
	return len(into), nil
}

// readLine takes not one byte more than the line.
func readLine(reader io.Reader) (string, error) {
	line := []byte{}
	for next := make([]byte, 1); len(line) < 1000; line = append(line, next[0]) {
		if _, err := io.ReadFull(reader, next); err != nil {
			return "", err
		}
		if next[0] == '\n' {
			return string(line), nil
		}
	}
	return "", errors.New("line too long")
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
