package images

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// parsed is an image's name as the user may abbreviate it, normalised.
type parsed struct {
	named  reference.Named
	name   string // complete: registry, repository, and tag or digest
	digest string // empty for a name with a tag
}

// parseReference normalises a name: the registry, "latest" and so on are
// added where they lack. A name with tag and digest is taken by its digest.
func parseReference(s string) (parsed, error) {
	named, err := reference.ParseDockerRef(s)
	if err != nil {
		return parsed{}, fmt.Errorf("image name %q: %s: want [REGISTRY/]NAME[:TAG] in lower case: %w",
			s, strings.TrimSuffix(err.Error(), " format"), errdefs.ErrInvalidArgument)
	}
	p := parsed{named: named, name: named.String()}
	if d, ok := named.(reference.Digested); ok {
		p.digest = d.Digest().String()
	}
	return p, nil
}

// familiar returns the short form of a complete name, as people write it.
func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

// digestPrefix matches a digest, with or without its algorithm, or enough of
// its beginning.
var digestPrefix = regexp.MustCompile(`^(?:sha256:)?([0-9a-f]{4,64})$`)
