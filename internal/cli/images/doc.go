// Package images has the commands for images and the registries that they come from.
package images
