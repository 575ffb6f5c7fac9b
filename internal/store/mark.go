package store

import (
	"fmt"
	"strconv"

	"github.com/containerd/errdefs"
	"go.etcd.io/bbolt"

	"patchbay.dev/patchbay/internal/store/journal"
)

// format is the number of the form of the files: that of the database's buckets and of the journal.
// Records have a number of their own.
const format = 1

// Where the database has its mark.
var (
	markBucket    = []byte(".journal") // no collection has a name with a dot
	generationKey = []byte("generation")
	formatKey     = []byte("format") // decimal; none: 0, which has neither this nor a witness
)

// A patchbayd that knows of no journal would take the database for all that there is. So while there is one,
// the collection that each patchbayd reads first has a record that such a one cannot read, which is an error
// that ends it. It shows the record's id.
var (
	witnessBucket = []byte("events")
	witnessID     = []byte("(changes are in patchbay.db.journal: start the patchbay that wrote it, then \"patchbay system stop\")")
	witnessValue  = []byte(`{"schema":1000000,"value":null}`)
)

// mark is what the database says of the journal.
type mark struct {
	// generation is the one that the database is followed by; zeros: none yet.
	generation journal.Generation
	// journal tells that there may be changes which only the journal has.
	journal bool
}

// readMark returns the mark of a database. A form that is newer than this program is
// errdefs.ErrFailedPrecondition.
func readMark(db *bbolt.DB) (m mark, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(markBucket)
		if b == nil {
			return nil
		}
		copy(m.generation[:], b.Get(generationKey))
		if number := string(b.Get(formatKey)); number != "" {
			n, err := strconv.Atoi(number)
			if err != nil || n > format {
				return fmt.Errorf("is of format %s, and this patchbay knows formats up to %d: start the patchbay that wrote it, or put a copy of the store back: %w",
					number, format, errdefs.ErrFailedPrecondition)
			}
		}
		if b := tx.Bucket(witnessBucket); b != nil {
			m.journal = b.Get(witnessID) != nil
		}
		return nil
	})
	return m, err
}

// write stores the mark.
func (m mark) write(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(markBucket)
	if err == nil {
		err = b.Put(generationKey, m.generation[:])
	}
	if err == nil {
		err = b.Put(formatKey, strconv.AppendInt(nil, format, 10))
	}
	if err != nil {
		return err
	}
	if b, err = tx.CreateBucketIfNotExists(witnessBucket); err != nil {
		return err
	}
	if m.journal {
		return b.Put(witnessID, witnessValue)
	}
	return b.Delete(witnessID)
}
