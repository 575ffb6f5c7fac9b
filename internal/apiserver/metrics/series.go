package metrics

import "github.com/prometheus/client_golang/prometheus"

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
var surveyed = []*series{
	buildInfo, containersByState, runtimeHelpers, networksByState, networkUp, pluginRestarts, addressesUsed, addressesTotal,
	images, imageBlobs, imageLayers, unanswered,
}

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
