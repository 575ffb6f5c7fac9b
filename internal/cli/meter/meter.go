// Package meter makes of samples what people and programs want to see of them.
package meter

import (
	"fmt"
	"strconv"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/resource"
)

// Row is a sample of a container with what it and the one before it tell.
type Row struct {
	resource.ContainerStats
	// CPUPercent is of the time between both samples; 100 is one processor. Nil: not
	// known, as with the first one.
	CPUPercent *float64 `json:"cpuPercent,omitempty"`

	before resource.Sample // zero: there is none
}

// Meter keeps the last sample of each container. The zero value is ready.
type Meter struct {
	last map[string]resource.Sample // by id
}

// Rows are the rows of samples taken at one time. Of a container that is not among
// them the last one is forgotten.
func (m *Meter) Rows(samples []resource.ContainerStats) []Row {
	rows := make([]Row, 0, len(samples))
	now := make(map[string]resource.Sample, len(samples))
	for _, s := range samples {
		row := Row{ContainerStats: s}
		if before, ok := m.last[s.ID]; ok {
			row.before, row.CPUPercent = before, percent(before, s.Sample)
		}
		if s.Fault == "" {
			now[s.ID] = s.Sample
		}
		rows = append(rows, row)
	}
	m.last = now
	return rows
}

// percent is the CPU time between two samples; nil where they do not tell it, as
// of a container that was started anew.
func percent(before, now resource.Sample) *float64 {
	span := now.Time.Sub(before.Time)
	if before.CPU == nil || now.CPU == nil || span <= 0 || now.CPU.UsedNanoseconds < before.CPU.UsedNanoseconds {
		return nil
	}
	p := 100 * float64(now.CPU.UsedNanoseconds-before.CPU.UsedNanoseconds) / float64(span.Nanoseconds())
	return &p
}

// Containers is a table with a row for each container. What is not known is left
// open.
func Containers(rows []Row) *output.Table {
	t := newTable(rows, "NAME", "CPU", "MEMORY", "LIMIT", "RECEIVED", "SENT", "READ", "WRITTEN", "PIDS")
	for _, r := range rows {
		cells := make([]string, 8)
		if r.CPUPercent != nil {
			cells[0] = fmt.Sprintf("%.1f%%", *r.CPUPercent)
		}
		if m := r.Memory; m != nil {
			cells[1] = size(m.UsedBytes - min(m.CacheBytes, m.UsedBytes))
			if m.LimitBytes > 0 {
				cells[2] = size(m.LimitBytes)
			}
		}
		if received, sent, ok := total(r.Attachments); ok {
			cells[3], cells[4] = size(received), size(sent)
		}
		if b := r.Block; b != nil {
			cells[5], cells[6] = size(b.ReadBytes), size(b.WrittenBytes)
		}
		if p := r.Processes; p != nil {
			cells[7] = count(p.Count)
		}
		t.add(r, cells...)
	}
	return t.Table
}

// Networks is a table with a row for each attachment of each container; one for a
// container without any. Numbers in one column are of what was received and of what
// was sent.
func Networks(rows []Row) *output.Table {
	t := newTable(rows, "NAME", "NETWORK", "INTERFACE", "RECEIVED", "SENT", "RECEIVED/S", "SENT/S", "PACKETS", "ERRORS", "DROPPED")
	for _, r := range rows {
		for _, a := range r.Attachments {
			cells := append([]string{a.Network, a.InterfaceName}, make([]string, 7)...)
			if in, out := a.Received, a.Sent; in != nil && out != nil {
				receiving, sending := r.rates(a)
				copy(cells[2:], []string{
					size(in.Bytes), size(out.Bytes), receiving, sending,
					both(in.Packets, out.Packets), both(in.Errors, out.Errors), both(in.Dropped, out.Dropped),
				})
			}
			t.add(r, cells...)
		}
		if len(r.Attachments) == 0 {
			t.add(r, make([]string, 9)...)
		}
	}
	return t.Table
}

// rates are the bytes in a second since the sample before, empty where not known.
func (r Row) rates(a resource.AttachmentTraffic) (receiving, sending string) {
	span := r.Time.Sub(r.before.Time)
	for _, b := range r.before.Attachments {
		same := b.NetworkID == a.NetworkID && b.InterfaceName == a.InterfaceName && b.Received != nil && b.Sent != nil
		if !same || span <= 0 || a.Received.Bytes < b.Received.Bytes || a.Sent.Bytes < b.Sent.Bytes {
			continue
		}
		per := func(n uint64) string { return output.Size(int64(float64(n) / span.Seconds())) }
		return per(a.Received.Bytes - b.Received.Bytes), per(a.Sent.Bytes - b.Sent.Bytes)
	}
	return "", ""
}

// total is what has gone over all attachments.
func total(all []resource.AttachmentTraffic) (received, sent uint64, ok bool) {
	for _, a := range all {
		if a.Received != nil && a.Sent != nil {
			received, sent, ok = received+a.Received.Bytes, sent+a.Sent.Bytes, true
		}
	}
	return received, sent, ok
}

// table has a last column for faults, if there are any.
type table struct {
	*output.Table
	notes bool
}

func newTable(rows []Row, header ...string) table {
	t := table{}
	for _, r := range rows {
		t.notes = t.notes || r.Fault != ""
	}
	if t.notes {
		header = append(header, "NOTE")
	}
	t.Table = output.NewTable(header...)
	return t
}

func (t table) add(r Row, cells ...string) {
	cells = append([]string{r.Name}, cells...)
	if t.notes {
		cells = append(cells, r.Fault)
	}
	t.Add(cells...)
}

func size(n uint64) string  { return output.Size(int64(n)) }
func count(n uint64) string { return strconv.FormatUint(n, 10) }

func both(in, out uint64) string { return count(in) + "/" + count(out) }
