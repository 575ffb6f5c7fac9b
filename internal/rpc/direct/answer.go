package direct

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// answer is a response as HTTP/1.1 has it.
type answer struct {
	status      int
	contentType string
	body        io.Reader // io.ErrUnexpectedEOF: the server went away before its end
	lasting     bool      // the connection can be used again after the body
}

// atOnce is how much memory a body is given in advance, in bytes, when it says that it needs
// it.
const atOnce = 16 << 20

var errMalformed = errors.New("the server does not answer as HTTP/1.1 has it")

// readAnswer reads a response up to its body. Its error is io.ErrUnexpectedEOF when
// the server has closed the connection.
func readAnswer(r *bufio.Reader) (answer, error) {
	for {
		a, err := readHead(r)
		if errors.Is(err, io.EOF) {
			return a, io.ErrUnexpectedEOF
		}
		if err != nil || a.status >= 200 { // others announce one that is to come
			return a, err
		}
	}
}

func readHead(r *bufio.Reader) (answer, error) {
	text := textproto.NewReader(r)
	line, err := text.ReadLine()
	if err != nil {
		return answer{}, err
	}
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/1.") || err != nil || len(code) != 3 || status < 100 {
		return answer{}, fmt.Errorf("%w: %q", errMalformed, line)
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return answer{}, malformedHeader(err)
	}
	if encoding := header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return answer{}, fmt.Errorf("%w: %s was not asked for", errMalformed, encoding)
	}
	if encoding := header.Get("Transfer-Encoding"); encoding != "" && version != "HTTP/1.1" { // its framing is faulty (RFC 9112, section 6.1)
		return answer{}, fmt.Errorf("%w: transfer encoding %q of %s", errMalformed, encoding, version)
	}
	a := answer{status: status}
	a.contentType, _, _ = strings.Cut(header.Get("Content-Type"), ";") // messages are UTF-8 whatever it says
	a.lasting = version == "HTTP/1.1" && !strings.EqualFold(header.Get("Connection"), "close")
	return a, a.delimit(r, header)
}

// malformedHeader tells a header that is none from a connection that has ended.
func malformedHeader(err error) error {
	if malformed := textproto.ProtocolError(""); errors.As(err, &malformed) {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return err
}

// delimit sets the body (RFC 9112, section 6.3).
func (a *answer) delimit(r *bufio.Reader, header textproto.MIMEHeader) error {
	encoding, length := header.Get("Transfer-Encoding"), header.Values("Content-Length")
	switch {
	case a.status < 200 || a.status == 204 || a.status == 304:
		a.body = strings.NewReader("")
	case strings.EqualFold(encoding, "chunked"):
		a.body = &chunked{r: r}
	case encoding != "":
		return fmt.Errorf("%w: transfer encoding %q", errMalformed, encoding)
	case len(length) == 0:
		a.body, a.lasting = r, false
	default:
		n, err := strconv.ParseInt(length[0], 10, 64)
		if err != nil || n < 0 || len(length) > 1 {
			return fmt.Errorf("%w: content length %q", errMalformed, length)
		}
		a.body = &counted{r: r, left: n}
	}
	return nil
}

// read reads the whole body.
func (a *answer) read() ([]byte, error) {
	foretold, ok := a.body.(interface{ ahead() (int64, error) })
	if !ok {
		return io.ReadAll(a.body)
	}
	var data []byte
	for {
		more, err := foretold.ahead()
		if err != nil || more == 0 {
			return data, err
		}
		begin, room := len(data), int(min(more, atOnce))
		data = slices.Grow(data, room)[:begin+room]
		if n, err := io.ReadFull(a.body, data[begin:]); err != nil {
			return data[:begin+n], err
		}
	}
}

// counted is a body whose length is known.
type counted struct {
	r    *bufio.Reader
	left int64
}

// ahead is how much is left.
func (b *counted) ahead() (int64, error) { return b.left, nil }

func (b *counted) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, unexpected(err)
}

// chunked is a body that comes in parts (RFC 9112, section 7.1).
type chunked struct {
	r     *bufio.Reader
	left  int64 // of the part
	begun bool
	ended bool
}

// ahead is how much is left of the part; 0: the body has ended.
func (b *chunked) ahead() (int64, error) {
	if b.left > 0 || b.ended {
		return b.left, nil
	}
	err := b.next()
	return b.left, unexpected(err)
}

func (b *chunked) Read(p []byte) (int, error) {
	if _, err := b.ahead(); err != nil {
		return 0, err
	}
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, unexpected(err)
}

// next reads what is between two parts, or what is after the last.
func (b *chunked) next() error {
	text := textproto.NewReader(b.r)
	if b.begun {
		if line, err := text.ReadLine(); err != nil || line != "" {
			return errors.Join(err, malformedChunk(line))
		}
	}
	b.begun = true
	line, err := text.ReadLine()
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(line, ";") // an extension means nothing to us
	size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 63)
	if err != nil {
		return malformedChunk(line)
	}
	b.left = int64(size)
	if size > 0 {
		return nil
	}
	b.ended = true
	_, err = text.ReadMIMEHeader()
	return malformedHeader(err)
}

func malformedChunk(line string) error {
	if line == "" {
		return nil
	}
	return fmt.Errorf("%w: %q between chunks", errMalformed, line)
}

// unexpected is the error of a body that has not ended.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
