package relay

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queueSize is how many writes are submitted at once. The kernel bounds what all processes'
// queues have room for (fs.aio-max-nr, 65,536) and counts a small one as several times its size.
const queueSize = 16

// aio is a queue of the kernel's asynchronous I/O (io_setup(2)). What is asked of sockets that do not
// block has been done when io_submit(2) returns; it is one call for many sockets.
type aio struct {
	context uintptr // aio_context_t
	blocks  [queueSize]iocb
	asked   [queueSize]*iocb
	events  [queueSize]ioEvent
}

// iocb is struct iocb (include/uapi/linux/aio_abi.h).
type iocb struct {
	index   uint64 // aio_data, which comes back with the event
	_       uint64
	opcode  uint16
	_       int16
	fd      uint32
	data    uint64
	size    uint64
	_, _, _ uint64
}

// ioEvent is struct io_event of the same.
type ioEvent struct {
	index  uint64
	_      uint64
	result int64 // bytes, or a negative error
	_      int64
}

// iocbWrite is IOCB_CMD_PWRITE.
const iocbWrite = 1

// newAIO returns an error where the kernel or a filter of system calls has no such queues for this process, or all
// are in use.
func newAIO() (*aio, error) {
	q := &aio{}
	if _, _, errno := unix.RawSyscall(unix.SYS_IO_SETUP, queueSize, uintptr(unsafe.Pointer(&q.context)), 0); errno != 0 {
		return nil, errno
	}
	if _, err := q.results(0); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

// write writes each message to its socket, as far as the socket takes it, and calls done with how
// many bytes those were or why there were none. It returns how many messages it has tried to write, from the
// first one on: fewer than all where the kernel takes no more, and no more than queueSize.
func (q *aio) write(messages []message, done func(m message, n int, err error)) int {
	messages = messages[:min(len(messages), queueSize)]
	for i, m := range messages {
		q.blocks[i] = iocb{
			index: uint64(i), opcode: iocbWrite, fd: uint32(m.to.fd),
			data: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))), size: uint64(len(m.data)),
		}
		q.asked[i] = &q.blocks[i]
	}
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, q.context, uintptr(len(messages)), uintptr(unsafe.Pointer(&q.asked)))
	runtime.KeepAlive(messages) // the blocks have numbers of its data
	if errno != 0 {
		return 0
	}
	got, err := q.results(int(n))
	if err != nil || got != int(n) {
		panic(fmt.Sprintf("io_getevents: %d of %d: %v", got, n, err)) // what was written is not known any more
	}
	for _, e := range q.events[:n] {
		m := messages[e.index]
		if e.result < 0 {
			done(m, 0, unix.Errno(-e.result))
			continue
		}
		done(m, int(e.result), nil)
	}
	return int(n)
}

// results reads that many events, which are there.
func (q *aio) results(n int) (int, error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, q.context, uintptr(n), uintptr(n), uintptr(unsafe.Pointer(&q.events)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}

func (q *aio) close() { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, q.context, 0, 0) } // it waits until nobody uses it
