package plain

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
)

// services has procedures of each kind.
func services() *Server {
	c := connect.NewServer()
	for name, kind := range map[string]connect.StreamType{
		"/s/Unary": connect.StreamTypeUnary, "/s/Stream": connect.StreamTypeServer, "/s/Upload": connect.StreamTypeClient, "/s/Both": connect.StreamTypeBidi,
	} {
		c.Register(connect.Method{Spec: connect.Spec{Procedure: name, StreamType: kind}})
	}
	return New(Config{Services: c})
}

const (
	first     = "POST /s/Unary HTTP/1.1\r\nHost: patchbay\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n"
	whole     = first + "Content-Length: 3\r\n\r\n"
	streaming = "POST /s/Stream HTTP/1.1\r\nHost: patchbay\r\nContent-Type: application/connect+proto\r\nConnect-Protocol-Version: 1\r\nContent-Length: 5\r\n\r\n"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		want verdict
	}{
		"unary":                  {whole + "abc", plain},
		"stream":                 {streaming, plain},
		"with a timeout":         {first + "Connect-Timeout-Ms: 12\r\nContent-Length: 0\r\n\r\n", plain},
		"of a trace":             {first + "Traceparent: 00-a\r\nTracestate: b\r\nContent-Length: 0\r\n\r\n", plain},
		"nothing":                {"", incomplete},
		"half a line":            {"POST /s/Un", incomplete},
		"half a head":            {first, incomplete},
		"without the last line":  {strings.TrimSuffix(whole, "\r\n"), incomplete},
		"HTTP/2":                 {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", other},
		"HTTP/1.0":               {strings.Replace(whole, "1.1", "1.0", 1), other},
		"GET":                    {strings.Replace(whole, "POST", "GET", 1), other},
		"lines without CR":       {strings.ReplaceAll(whole, "\r", ""), other},
		"no such procedure":      {strings.Replace(whole, "Unary", "None", 1), other},
		"a query":                {strings.Replace(whole, "Unary", "Unary?a=b", 1), other},
		"upload":                 {strings.Replace(streaming, "Stream", "Upload", 1), other},
		"both ways":              {strings.Replace(streaming, "Stream", "Both", 1), other},
		"JSON":                   {strings.Replace(whole, "/proto", "/json", 1), other},
		"stream as unary":        {strings.Replace(whole, "Unary", "Stream", 1), other},
		"unary as stream":        {strings.Replace(streaming, "Stream", "Unary", 1), other},
		"in chunks":              {first + "Transfer-Encoding: chunked\r\n\r\n", other},
		"of unknown length":      {first + "\r\n", other},
		"of two lengths":         {first + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", other},
		"of a signed length":     {first + "Content-Length: +1\r\n\r\n", other},
		"of no length":           {first + "Content-Length: \r\n\r\n", other},
		"long":                   {first + "Content-Length: 1048577\r\n\r\n", other},
		"compressed":             {first + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n", other},
		"other header":           {first + "X: y\r\nContent-Length: 1\r\n\r\n", other},
		"header in small":        {first + "content-length: 1\r\n\r\n", other},
		"header without blank":   {first + "Content-Length:1\r\n\r\n", other},
		"folded header":          {first + "Content-Length: 1\r\n b\r\n\r\n", other},
		"control character":      {first + "Traceparent: a\x00b\r\nContent-Length: 1\r\n\r\n", other},
		"two timeouts":           {first + "Connect-Timeout-Ms: 1\r\nConnect-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n", other},
		"timeout of eleven":      {first + "Connect-Timeout-Ms: 12345678901\r\nContent-Length: 0\r\n\r\n", other},
		"two hosts":              {first + "Host: patchbay\r\nContent-Length: 0\r\n\r\n", other},
		"other host":             {strings.Replace(whole, "patchbay", "elsewhere", 1), other},
		"no host":                {strings.Replace(whole, "Host: patchbay\r\n", "", 1), other},
		"other protocol version": {strings.Replace(whole, "Version: 1", "Version: 2", 1), other},
		"no protocol version":    {strings.Replace(whole, "Connect-Protocol-Version: 1\r\n", "", 1), other},
	} {
		if _, got := services().parse([]byte(tt.in)); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	r, _ := services().parse([]byte(first + "Connect-Timeout-Ms: 12\r\nTraceparent: a\r\nTracestate: b\r\nContent-Length: 3\r\n\r\nabc"))
	if r.spec.Procedure != "/s/Unary" || r.length != 3 || !r.limited || r.timeout != 12*time.Millisecond || r.parent != "a" || r.state != "b" {
		t.Errorf("got %+v", r)
	}
}

// What is taken as plain is read by net/http as the same request, whatever it is cut into.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole + "abc"))
	f.Add([]byte(streaming))
	f.Add([]byte(first + "Connect-Timeout-Ms: 12\r\nTraceparent: a\r\nContent-Length: 0\r\n\r\n"))
	s := services()
	f.Fuzz(func(t *testing.T, in []byte) {
		r, v := s.parse(in)
		if v != plain {
			return
		}
		for n := range r.size {
			if _, v := s.parse(in[:n]); v != incomplete {
				t.Fatalf("the first %d bytes of a plain request are %v", n, v)
			}
		}
		reader := bufio.NewReader(bytes.NewReader(in))
		want, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		content := map[connect.StreamType]string{connect.StreamTypeUnary: unaryContent, connect.StreamTypeServer: streamContent}[r.spec.StreamType]
		if want.Method != http.MethodPost || want.URL.RequestURI() != r.spec.Procedure || want.ContentLength != int64(r.length) || want.Header.Get("Content-Type") != content ||
			len(want.TransferEncoding) > 0 || want.Close || want.Host != "patchbay" || want.Header.Get("Traceparent") != r.parent || want.Header.Get("Tracestate") != r.state {
			t.Errorf("got %+v, net/http has %+v", r, want)
		}
		if rest := len(in) - r.size; reader.Buffered() < min(rest, r.length) {
			t.Errorf("the head has %d bytes, net/http leaves %d of %d", r.size, reader.Buffered(), len(in))
		}
	})
}
