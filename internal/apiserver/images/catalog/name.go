package catalog

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// Name is an image's name as the user may abbreviate it, normalised.
type Name struct {
	Complete string // registry, repository, and tag or digest
	Digest   string // empty for a name with a tag
}

// ParseName normalises a name: the registry, "latest" and so on are added
// where they lack. A name with tag and digest is taken by its digest.
// ErrInvalidArgument for what is no name.
func ParseName(s string) (Name, error) {
	named, err := reference.ParseDockerRef(s)
	if err != nil {
		return Name{}, fmt.Errorf("image name %q: %s: want [REGISTRY/]NAME[:TAG] in lower case: %w",
			s, strings.TrimSuffix(err.Error(), " format"), errdefs.ErrInvalidArgument)
	}
	n := Name{Complete: named.String()}
	if d, ok := named.(reference.Digested); ok {
		n.Digest = d.Digest().String()
	}
	return n, nil
}

// ParseTag is ParseName of what is to be given to an image: a name with a
// digest is refused too. It returns the complete name.
func ParseTag(s string) (complete string, err error) {
	n, err := ParseName(s)
	if err != nil {
		return "", err
	}
	if n.Digest != "" {
		return "", fmt.Errorf("image name %q: want a name with a tag, not with a digest: %w", s, errdefs.ErrInvalidArgument)
	}
	return n.Complete, nil
}

// Familiar returns the short form of a complete name, as people write it.
func Familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

// FamiliarList is Familiar of several names, as a text for people.
func FamiliarList(names []string) string {
	return strings.Join(familiarAll(names), ", ")
}

func familiarAll(names []string) []string {
	var short []string
	for _, n := range names {
		short = append(short, Familiar(n))
	}
	return short
}

// digestPrefix matches a digest, with or without its algorithm, or enough of
// its beginning.
var digestPrefix = regexp.MustCompile(`^(?:sha256:)?([0-9a-f]{4,64})$`)
