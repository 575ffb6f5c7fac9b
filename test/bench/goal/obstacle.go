package goal

import (
	_ "embed"
	"strings"
)

// What stands in the way of a target is known to those who have looked, not to a
// measurement: a paragraph for each, below a heading with the measurement's ID.
//
//go:embed obstacles.md
var obstacles string

// Obstacle is what is known to stand in the way of a measurement's targets; "" if
// nobody has written it down. Its links are those of a page in docs.
func Obstacle(id string) string { return obstacle(obstacles, id) }

func obstacle(page, id string) string {
	for section := range strings.SplitSeq("\n"+page, "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		if strings.TrimSpace(heading) == id {
			return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "](../../../docs/", "](")
		}
	}
	return ""
}
