package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// series is all series of one name: they differ in the values of the labels.
type series struct {
	name   string
	kind   prometheus.ValueType // of those that are read when asked for
	help   string
	labels []string
	desc   *prometheus.Desc
}

// Those of the API's calls, which are counted as they happen.
var (
	callsRunning = &series{
		name: "patchbay_api_calls_running", labels: []string{"procedure"},
		help: "Calls of the API that have not ended.",
	}
	callDuration = &series{
		name: "patchbay_api_call_duration_seconds", labels: []string{"procedure", "code"},
		help: "How long calls of the API took until their last answer; Events, Wait and a following Logs take as long as the client wants.",
	}
)

// Those that are read from the services when asked for.
var (
	buildInfo = gauge("patchbay_build_info",
		"1; the labels say which patchbayd this is.", "version", "revision")
	containersByState = gauge("patchbay_containers",
		"Containers in a state, by the runtime that they are for.", "runtime", "state")
	runtimeHelpers = gauge("patchbay_runtime_helpers",
		"Helper processes of a runtime, one for each container that runs.", "runtime")
	networksByState = gauge("patchbay_networks",
		"Networks in a state, by the plugin that serves them.", "plugin", "state")
	networkUp = gauge("patchbay_network_up",
		"1 if the network's plugin told its state just now; 0 if it is starting or failed, or did not answer in time.", "network", "plugin")
	pluginRestarts = counter("patchbay_network_plugin_restarts_total",
		"Times that a process of the network's plugin was started after the first one, since patchbayd began: after a death, a failure, or on request.", "network", "plugin")
	addressesUsed = gauge("patchbay_network_addresses_used",
		"Addresses of the network that containers have. Not told while the network is not up.", "network", "family")
	addressesTotal = gauge("patchbay_network_addresses",
		"Addresses of the network that containers can have, reserved ones too. Not told while the network is not up.", "network", "family")
	containerCPU = counter("patchbay_container_cpu_seconds_total",
		"Time of processors that the running container has used, since it was started.", "container")
	containerThrottled = counter("patchbay_container_cpu_throttled_seconds_total",
		"Time that threads of the container have waited because of its limit of processors.", "container")
	containerMemory = gauge("patchbay_container_memory_used_bytes",
		"Memory of the container's processes, with what is cached of files.", "container")
	containerCache = gauge("patchbay_container_memory_cache_bytes",
		"Of that, of files and not used of late: what the kernel takes back first.", "container")
	containerLimit = gauge("patchbay_container_memory_limit_bytes",
		"What the container's memory may grow to; of a virtual machine all the memory that its kernel has. Not told where there is no limit.", "container")
	containerProcesses = gauge("patchbay_container_processes",
		"Processes and threads of the container.", "container")
	containerRead = counter("patchbay_container_block_read_bytes_total",
		"Bytes that the container has read from block devices of the host, or of its virtual machine.", "container")
	containerWritten = counter("patchbay_container_block_written_bytes_total",
		"Bytes that the container has written to block devices.", "container")
	received = trafficOf("receive", "received by")
	sent     = trafficOf("transmit", "sent by")

	images = gauge("patchbay_images",
		"Images in the store.")
	imageBlobs = gauge("patchbay_image_blobs_size_bytes",
		"Size of the images as they are transferred; what several share is counted for each.")
	imageLayers = gauge("patchbay_image_layers_size_bytes",
		"Size of the images' unpacked layers; what several share is counted for each.")
	unanswered = gauge("patchbay_scrape_unanswered",
		"Processes that did not answer this scrape in time, so that series of theirs are left out.", "process")
)

// surveyed lists them, in the order of the documentation.
var surveyed = slices.Concat(
	[]*series{
		buildInfo, containersByState, runtimeHelpers, networksByState, networkUp, pluginRestarts, addressesUsed, addressesTotal,
		containerCPU, containerThrottled, containerMemory, containerCache, containerLimit, containerProcesses, containerRead, containerWritten,
	},
	received.all(), sent.all(),
	[]*series{images, imageBlobs, imageLayers, unanswered},
)

// traffic is the series of one direction.
type traffic struct{ bytes, packets, errors, dropped *series }

func trafficOf(direction, how string) traffic {
	of := func(unit, what string) *series {
		return counter("patchbay_attachment_"+direction+"_"+unit+"_total", what+" the container on its interface to the network.", "container", "network", "interface")
	}
	return traffic{
		bytes: of("bytes", "Bytes "+how), packets: of("packets", "Packets "+how),
		errors: of("errors", "Packets with errors "+how), dropped: of("dropped", "Packets that were dropped, of those "+how),
	}
}

func (t traffic) all() []*series { return []*series{t.bytes, t.packets, t.errors, t.dropped} }

func gauge(name, help string, labels ...string) *series {
	return newSeries(prometheus.GaugeValue, name, help, labels)
}

func counter(name, help string, labels ...string) *series {
	return newSeries(prometheus.CounterValue, name, help, labels)
}

func newSeries(kind prometheus.ValueType, name, help string, labels []string) *series {
	return &series{name: name, kind: kind, help: help, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
}

// of is one of the series: that of these values of the labels.
func (s *series) of(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(s.desc, s.kind, value, labels...)
}
