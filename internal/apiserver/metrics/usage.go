package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"patchbay.dev/patchbay/resource"
)

// tellUsage asks the helpers of all containers that run what these have used.
func (s *survey) tellUsage(ctx context.Context, out chan<- prometheus.Metric) {
	all, err := s.config.Containers.Stats(ctx, nil, true)
	if err != nil {
		s.config.Log.Warn("what containers use is left out of the metrics", "error", err)
		return
	}
	silent := 0
	for _, c := range all {
		if c.Fault != "" {
			silent++
			continue
		}
		tellSample(out, c.Name, c.Sample)
	}
	out <- unanswered.of(float64(silent), runtimeHelper)
}

// tellSample leaves out what the sandbox's kernel does not count.
func tellSample(out chan<- prometheus.Metric, container string, s resource.Sample) {
	if u := s.CPU; u != nil {
		out <- containerCPU.of(seconds(u.UsedNanoseconds), container)
		out <- containerThrottled.of(seconds(u.ThrottledNanoseconds), container)
	}
	if u := s.Memory; u != nil {
		out <- containerMemory.of(float64(u.UsedBytes), container)
		out <- containerCache.of(float64(u.CacheBytes), container)
		if u.LimitBytes > 0 {
			out <- containerLimit.of(float64(u.LimitBytes), container)
		}
	}
	if u := s.Processes; u != nil {
		out <- containerProcesses.of(float64(u.Count), container)
	}
	if u := s.Block; u != nil {
		out <- containerRead.of(float64(u.ReadBytes), container)
		out <- containerWritten.of(float64(u.WrittenBytes), container)
	}
	for _, a := range s.Attachments {
		received.tell(out, a.Received, container, a)
		sent.tell(out, a.Sent, container, a)
	}
}

func (t traffic) tell(out chan<- prometheus.Metric, of *resource.Traffic, container string, a resource.AttachmentTraffic) {
	if of == nil {
		return
	}
	for series, n := range map[*series]uint64{t.bytes: of.Bytes, t.packets: of.Packets, t.errors: of.Errors, t.dropped: of.Dropped} {
		out <- series.of(float64(n), container, a.Network, a.InterfaceName)
	}
}

func seconds(nanoseconds uint64) float64 { return float64(nanoseconds) / float64(time.Second) }
