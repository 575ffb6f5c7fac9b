package sockfilter

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A program that passes datagrams of one type, in the host's order of bytes.
func TestAttach(t *testing.T) {
	t.Parallel()
	const wanted = 0x1234
	filter, err := Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: HighByte(2), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wanted >> 8, SkipTrue: 1},
		Drop,
		bpf.LoadAbsolute{Off: LowByte(2), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wanted & 0xff, SkipTrue: 1},
		Drop,
		Pass,
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := filter.Attach(pair[1]); err != nil {
		t.Fatal(err)
	}
	send := func(kind uint16) {
		t.Helper()
		datagram := binary.NativeEndian.AppendUint16([]byte{0, 0}, kind)
		// A datagram that the filter drops is refused here.
		if err := unix.Sendto(pair[0], datagram, 0, nil); err != nil && err != unix.EPERM {
			t.Fatal(err)
		}
	}
	receive := func() uint16 {
		var b [16]byte
		n, _, err := unix.Recvfrom(pair[1], b[:], unix.MSG_DONTWAIT)
		if err != nil || n < 4 {
			return 0
		}
		return binary.NativeEndian.Uint16(b[2:])
	}
	for _, kind := range []uint16{1, 0x3412, wanted, 0x1235} {
		send(kind)
	}
	if got := receive(); got != wanted {
		t.Errorf("received %#x first, want %#x", got, wanted)
	}
	if got := receive(); got != 0 {
		t.Errorf("received %#x too", got)
	}
	if err := Detach(pair[1]); err != nil {
		t.Fatal(err)
	}
	send(1)
	if got := receive(); got != 1 {
		t.Errorf("received %#x without a filter, want 1", got)
	}
}
