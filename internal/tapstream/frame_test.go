package tapstream_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/tapstream"
)

func framed(frames ...[]byte) []byte {
	var b []byte
	for _, f := range frames {
		header := make([]byte, tapstream.HeaderLength)
		tapstream.PutHeader(header, len(f))
		b = append(append(b, header...), f...)
	}
	return b
}

func TestReader(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{7}, tapstream.MaxFrame)
	frames := [][]byte{[]byte("a"), long, []byte("frame"), long, []byte("b")}
	r := tapstream.NewReader(iotest.HalfReader(bytes.NewReader(framed(frames...))))
	for i, want := range frames {
		got, err := r.Next()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("frame %d: %d bytes, %v; want %d", i, len(got), err, len(want))
		}
	}
	if _, err := r.Next(); err != io.EOF { //nolint:errorlint // as the contract says
		t.Errorf("at the end: %v", err)
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stream []byte
		want   error
	}{
		"no length":    {[]byte{0, 0, 0, 0}, errdefs.ErrInvalidArgument},
		"too long":     {framed(make([]byte, tapstream.MaxFrame+1)), errdefs.ErrInvalidArgument},
		"huge":         {[]byte{0xff, 0xff, 0xff, 0xff, 1}, errdefs.ErrInvalidArgument},
		"cut header":   {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"cut frame":    {[]byte{0, 0, 0, 9, 1, 2}, io.ErrUnexpectedEOF},
		"header alone": {[]byte{0, 0, 0, 9}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := tapstream.NewReader(bytes.NewReader(tt.stream)).Next(); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

// Whatever a stream says, the frames are those that its bytes hold.
func FuzzReader(f *testing.F) {
	f.Add(framed([]byte("one"), []byte("two")))
	f.Add([]byte{0, 0, 0, 9, 1})
	f.Add([]byte{0, 1, 0, 18, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := tapstream.NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
		var again []byte
		for {
			frame, err := r.Next()
			if err != nil {
				break
			}
			again = append(again, framed(frame)...)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Errorf("frames %x are not the beginning of %x", again, stream)
		}
	})
}
