// Package frame is what all commands share: what they get from around them, how they
// say that they were used wrongly, how they end, and how they list and show.
package frame
