package direct

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer  string
		body    string
		lasting bool
		err     error
	}{
		"length":                  {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX", "abc", true, nil},
		"chunks":                  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\nX", "abc", true, nil},
		"until its end":           {"HTTP/1.1 200 OK\r\n\r\nabc", "abc", false, nil},
		"last of connection":      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "", false, nil},
		"of an old server":        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a", false, nil},
		"announced":               {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "a", true, nil},
		"no content":              {"HTTP/1.1 204 No Content\r\n\r\n", "", true, nil},
		"nothing":                 {"", "", false, io.ErrUnexpectedEOF},
		"half a head":             {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "", false, io.ErrUnexpectedEOF},
		"half a body":             {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", "a", true, io.ErrUnexpectedEOF},
		"half a chunk":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na", "a", true, io.ErrUnexpectedEOF},
		"without last chunk":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "a", true, io.ErrUnexpectedEOF},
		"no chunk":                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", true, errMalformed},
		"chunk too long":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a", true, errMalformed},
		"no header":               {"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", "", false, errMalformed},
		"no HTTP":                 {"SSH-2.0-x\r\n", "", false, errMalformed},
		"no status":               {"HTTP/1.1 OK\r\n\r\n", "", false, errMalformed},
		"no length":               {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", true, errMalformed},
		"two lengths":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "", true, errMalformed},
		"compressed":              {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "", false, errMalformed},
		"chunks of an old server": {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false, errMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := readAnswer(bufio.NewReader(strings.NewReader(tt.answer)))
			var body []byte
			if err == nil {
				body, err = a.read()
			}
			if string(body) != tt.body || a.lasting != tt.lasting || !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) {
				t.Errorf("got %q, lasting %v, %v; want %q, %v, %v", body, a.lasting, err, tt.body, tt.lasting, tt.err)
			}
		})
	}
}

// FuzzReadAnswer: what it takes for an answer, net/http takes for the same one.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nConnection: close\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnswer(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		body, err := a.read()
		if err != nil {
			return
		}
		request, _ := http.NewRequest(http.MethodPost, "http://patchbay", nil)
		r := bufio.NewReader(bytes.NewReader(data))
		want, err := http.ReadResponse(r, request)
		for err == nil && want.StatusCode < 200 {
			want, err = http.ReadResponse(r, request)
		}
		if err != nil {
			return // it is stricter
		}
		defer want.Body.Close()
		other, err := io.ReadAll(want.Body)
		if err == nil && (want.StatusCode != a.status || !bytes.Equal(body, other)) {
			t.Errorf("%q: got %d %q, net/http %d %q", data, a.status, body, want.StatusCode, other)
		}
	})
}
