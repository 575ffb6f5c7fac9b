// Package pluginwire converts between resource values and the messages of the
// contract of network plugins.
package pluginwire
