package relay

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queueSize is how many reads or writes are submitted at once. The kernel bounds what all processes'
// queues have room for (fs.aio-max-nr, 65,536) and counts a small one as several times its size.
const queueSize = 16

// aio is a queue of the kernel's asynchronous I/O (io_setup(2)). What is asked of sockets that do not
// block has been done when io_submit(2) returns; it is one call for many sockets. The results are in memory that
// the kernel shares with the process, which takes them from there without a call.
type aio struct {
	ring   *ring // its address is the kernel's name of the queue (aio_context_t)
	blocks [queueSize]iocb
	asked  [queueSize]*iocb
}

// ring is struct aio_ring (fs/aio.c). Events are behind it.
type ring struct {
	_      uint32
	count  uint32 // events that it has room for
	head   uint32 // the next event to be taken; the process's, as in fio and QEMU
	tail   uint32 // the next event to be written; the kernel's
	magic  uint32
	_      uint32
	alien  uint32 // incompat_features: what must be known to read it
	header uint32 // bytes before the events
}

// ringMagic is AIO_RING_MAGIC.
const ringMagic = 0xa10a10a1

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

// What is asked for.
const (
	iocbRead  = 0 // IOCB_CMD_PREAD
	iocbWrite = 1 // IOCB_CMD_PWRITE
)

// newAIO returns an error where the kernel or a filter of system calls has no such queues for this process, or all
// are in use.
func newAIO() (*aio, error) {
	q := &aio{}
	if _, _, errno := unix.RawSyscall(unix.SYS_IO_SETUP, queueSize, uintptr(unsafe.Pointer(&q.ring)), 0); errno != 0 {
		return nil, errno
	}
	if q.ring.magic != ringMagic || q.ring.alien != 0 || q.ring.header != uint32(unsafe.Sizeof(ring{})) || q.ring.count < queueSize {
		q.close()
		return nil, fmt.Errorf("io_setup: results of an unknown kind: %w", unix.ENOTSUP)
	}
	return q, nil
}

// do reads what each message has room for from its socket, or writes each message to its socket, as far as the
// socket has or takes it. Into results, of which there are as many, go the numbers of bytes, or negative
// errors. It returns how many messages it has tried, from the first one on: fewer than all where the
// kernel takes no more, and no more than queueSize.
func (q *aio) do(opcode uint16, messages []message, results []int64) int {
	messages = messages[:min(len(messages), queueSize)]
	for i, m := range messages {
		q.blocks[i] = iocb{
			index: uint64(i), opcode: opcode, fd: uint32(m.of.fd),
			data: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))), size: uint64(len(m.data)),
		}
		q.asked[i] = &q.blocks[i]
	}
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, q.name(), uintptr(len(messages)), uintptr(unsafe.Pointer(&q.asked)))
	runtime.KeepAlive(messages) // the blocks have numbers of its data
	if errno != 0 {
		return 0
	}
	if got := q.results(results); got != int(n) {
		panic(fmt.Sprintf("io_submit: results of %d of %d", got, n)) // what was read or written is not known any more
	}
	return int(n)
}

// results takes all events that are there, and returns how many those were.
func (q *aio) results(results []int64) int {
	events := unsafe.Slice((*ioEvent)(unsafe.Add(unsafe.Pointer(q.ring), unsafe.Sizeof(ring{}))), q.ring.count)
	head, tail := q.ring.head, atomic.LoadUint32(&q.ring.tail)
	n := 0
	for ; head != tail; n++ {
		e := events[head]
		results[e.index] = e.result
		head = (head + 1) % q.ring.count
	}
	atomic.StoreUint32(&q.ring.head, head)
	return n
}

func (q *aio) name() uintptr { return uintptr(unsafe.Pointer(q.ring)) }

func (q *aio) close() { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, q.name(), 0, 0) } // it waits until nobody uses it
