package images

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/pull"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// New returns the command "image".
func New(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "image", "Images: what containers are made from",
		frame.Maker{Name: "pull", Make: NewPull},
		frame.Maker{Name: "push", Make: NewPush},
		frame.Maker{Name: "load", Make: newImageLoad},
		frame.Maker{Name: "save", Make: newImageSave},
		frame.Maker{Name: "import", Make: newImageImport},
		frame.Maker{Name: "list", Make: newImageList},
		frame.Maker{Name: "inspect", Make: newImageInspect},
		frame.Maker{Name: "tag", Make: newImageTag},
		frame.Maker{Name: "delete", Make: newImageDelete},
		frame.Maker{Name: "prune", Make: newImagePrune},
	)
}

func getImage(ctx context.Context, api pull.Getter, name string) (resource.Image, error) {
	answer, err := api.Get(ctx, &apiserverv1.ImageServiceGetRequest{Name: name})
	if err != nil {
		return resource.Image{}, err
	}
	return apiwire.ImageFromProto(answer.GetImage()), nil
}

// imageTable shows images to people, one line for each reference.
func imageTable(images []resource.Image, now time.Time, whole bool) *output.Table {
	t := output.NewTable("REFERENCE", "DIGEST", "PLATFORM", "SIZE", "AGE")
	for _, i := range images {
		references := i.Status.References
		if len(references) == 0 {
			references = []string{""}
		}
		for _, r := range references {
			t.Add(r, output.ShortDigest(i.Configuration.Digest, whole), i.Configuration.Platform,
				output.Size(i.Status.SizeBytes), output.Age(i.CreatedAt, now))
		}
	}
	return t
}
