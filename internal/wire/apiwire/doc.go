// Package apiwire converts between resource values and the messages of the API.
package apiwire
