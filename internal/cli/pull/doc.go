// Package pull fetches images for the commands that need one.
package pull
