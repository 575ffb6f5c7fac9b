package message

import "time"

// Timestamp is google.protobuf.Timestamp: an instant since 1970 in UTC.
type Timestamp struct {
	Seconds int64
	Nanos   int32 // 0 to 999,999,999, also before 1970
}

// NewTimestamp returns t as a message.
func NewTimestamp(t time.Time) *Timestamp {
	return &Timestamp{Seconds: t.Unix(), Nanos: int32(t.Nanosecond())}
}

// AsTime returns the instant in UTC. Nil is the first of 1970.
func (t *Timestamp) AsTime() time.Time {
	if t == nil {
		return time.Unix(0, 0).UTC()
	}
	return time.Unix(t.Seconds, int64(t.Nanos)).UTC()
}

// MessageName implements Message.
func (*Timestamp) MessageName() string { return "google.protobuf.Timestamp" }

// Reset implements Message.
func (t *Timestamp) Reset() { *t = Timestamp{} }

// Encode implements Message.
func (t *Timestamp) Encode(e *Encoder) {
	if t != nil {
		e.pair(t.Seconds, t.Nanos)
	}
}

// Decode implements Message.
func (t *Timestamp) Decode(d *Decoder) { d.pair(&t.Seconds, &t.Nanos) }

// Duration is google.protobuf.Duration.
type Duration struct {
	Seconds int64
	Nanos   int32 // of the sign of Seconds
}

// NewDuration returns d as a message.
func NewDuration(d time.Duration) *Duration {
	return &Duration{Seconds: int64(d / time.Second), Nanos: int32(d % time.Second)}
}

// AsDuration returns the duration, or the longest that there is. Nil is none.
func (d *Duration) AsDuration() time.Duration {
	if d == nil {
		return 0
	}
	const limit = int64(1<<63-1) / int64(time.Second)
	switch {
	case d.Seconds > limit:
		return 1<<63 - 1
	case d.Seconds < -limit:
		return -1 << 63
	}
	seconds := time.Duration(d.Seconds) * time.Second
	sum := seconds + time.Duration(d.Nanos)
	switch {
	case d.Nanos > 0 && sum < seconds:
		return 1<<63 - 1
	case d.Nanos < 0 && sum > seconds:
		return -1 << 63
	}
	return sum
}

// MessageName implements Message.
func (*Duration) MessageName() string { return "google.protobuf.Duration" }

// Reset implements Message.
func (d *Duration) Reset() { *d = Duration{} }

// Encode implements Message.
func (d *Duration) Encode(e *Encoder) {
	if d != nil {
		e.pair(d.Seconds, d.Nanos)
	}
}

// Decode implements Message.
func (d *Duration) Decode(from *Decoder) { from.pair(&d.Seconds, &d.Nanos) }

func (e *Encoder) pair(seconds int64, nanos int32) {
	if seconds != 0 {
		e.Varint(1, uint64(seconds)) //nolint:gosec // by its sign
	}
	if nanos != 0 {
		e.Varint(2, uint64(nanos)) //nolint:gosec // by its sign
	}
}

func (d *Decoder) pair(seconds *int64, nanos *int32) {
	for d.Next() {
		switch d.Field() {
		case 1:
			Varint(d, seconds)
		case 2:
			Varint(d, nanos)
		default:
			d.Skip()
		}
	}
}
