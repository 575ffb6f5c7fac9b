package rtnl

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// addressMessages is a datagram of a listing with that many addresses, each of 10.9.0.1/24.
func addressMessages(many int) []byte {
	address := netip.MustParseAddr("10.9.0.1").AsSlice()
	var b bytes.Buffer
	for range many {
		request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, 0)
		message := nl.NewIfAddrmsg(unix.AF_INET)
		message.Index, message.Prefixlen = 7, 24
		request.AddData(message)
		request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, address))
		request.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated("br0")))
		b.Write(request.Serialize())
		b.Write(make([]byte, align(b.Len())-b.Len()))
	}
	return b.Bytes()
}

// What is read of a listing is what the libraries read, and takes no memory for each message.
func TestEachMessage(t *testing.T) {
	t.Parallel()
	const many = 300
	datagram := addressMessages(many)
	want, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = eachMessage(datagram, func(m syscall.NetlinkMessage) {
		if n >= len(want) || m.Header != want[n].Header || !bytes.Equal(m.Data, want[n].Data) {
			t.Fatalf("message %d is %+v", n, m)
		}
		n++
	})
	if err != nil || n != many {
		t.Errorf("read %d messages, %v, want %d", n, err, many)
	}
}

func TestEachMessageTakesNoMemory(t *testing.T) {
	datagram := addressMessages(300)
	read := 0
	each := func(m syscall.NetlinkMessage) {
		if l, err := addressOf(m.Data); err == nil && l.Index == 7 && l.Prefix.Bits() == 24 {
			read++
		}
	}
	allocations := testing.AllocsPerRun(10, func() {
		if err := eachMessage(datagram, each); err != nil {
			t.Fatal(err)
		}
	})
	if read == 0 || allocations != 0 {
		t.Errorf("read %d addresses with %v allocations for each 300, want none", read, allocations)
	}
}

// A message that is cut is an error, and nothing is read beyond it.
func TestEachErrors(t *testing.T) {
	t.Parallel()
	datagram := addressMessages(1)
	for name, err := range map[string]error{
		"message":   eachMessage(datagram[:len(datagram)-4], func(syscall.NetlinkMessage) { t.Error("a cut message is passed on") }),
		"attribute": eachAttribute([]byte{8, 0, 1, 0, 10, 9}, func(uint16, []byte) { t.Error("a cut attribute is passed on") }),
		"no length": eachAttribute([]byte{0, 0, 1, 0}, func(uint16, []byte) { t.Error("an attribute without a length is passed on") }),
	} {
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", name, err)
		}
	}
}
