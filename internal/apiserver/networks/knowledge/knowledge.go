// Package knowledge keeps account of how far what a plugin has told of its network is
// still true, so that a list asks only where it is not.
package knowledge

import (
	"time"

	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/resource"
)

// Knowledge is that of one network. Its zero value is of a plugin that does not
// tell anything by itself yet. It is not safe for concurrent use.
type Knowledge struct {
	followed bool   // it tells by itself that something changes
	have     uint64 // the revision of its last answer; 0: there is none to rely on
	news     uint64 // the last revision that it told of by itself
	epoch    int    // counts what makes answers to earlier questions worthless
	doubtful bool   // something may have changed that nothing but an answer to a question tells of
	heard    time.Time
	silence  string // what is to be said of that it did not answer when it was last asked; empty: it did
}

// Complete reports whether an answer to a question now would be the last one again.
func (k *Knowledge) Complete() bool { return k.followed && k.have > 0 && k.have >= k.news }

// Follow notes that the plugin tells of changes from now on. Its process may be
// another one, which counts anew.
func (k *Knowledge) Follow() { *k = Knowledge{followed: true, epoch: k.epoch + 1} }

// Lose notes that it does so no longer.
func (k *Knowledge) Lose() {
	k.followed = false
	k.Doubt()
}

// Doubt makes the last answer, and any that is under way, one not to rely on: the plugin
// has done something that may change its status, and has not told so yet.
func (k *Knowledge) Doubt() {
	k.have, k.doubtful = 0, true
	k.epoch++
}

// Hear takes in a status of a revision that the plugin tells by itself, and returns what
// is known now. An answer, which before is, may have overtaken it: then all but state
// and message of that is newer. all says that the plugin tells of whatever comes after it: then it is as
// good as an answer.
func (k *Knowledge) Hear(before, told resource.NetworkStatus, revision uint64, all bool) resource.NetworkStatus {
	k.news, k.heard, k.silence = revision, time.Now(), ""
	if revision >= k.have {
		if all && k.followed && !k.doubtful {
			k.have = revision
		}
		return told
	}
	before.State, before.Message = told.State, told.Message
	return before
}

// Epoch is that of a question that is asked now.
func (k *Knowledge) Epoch() int { return k.epoch }

// Learn takes in the answer to a question, and returns what is known now. State and message
// are left to what the plugin tells by itself, for that is an event.
func (k *Knowledge) Learn(before, answer resource.NetworkStatus, revision uint64, epoch int) resource.NetworkStatus {
	k.heard, k.silence = time.Now(), ""
	if !k.followed || epoch != k.epoch || revision <= k.have {
		return before
	}
	k.have, k.doubtful = revision, false
	answer.State, answer.Message = before.State, before.Message
	return answer
}

// Change takes in what the answer to a call tells that has changed something, as Learn does. Where there is nothing to
// rely on in it, a list has to ask.
func (k *Knowledge) Change(before, answer resource.NetworkStatus, revision uint64, epoch int) resource.NetworkStatus {
	if revision == 0 || !k.followed || epoch != k.epoch {
		k.Doubt()
		return before
	}
	return k.Learn(before, answer, revision, epoch)
}

// Miss takes in that there was no answer, and what is to be said of that.
func (k *Knowledge) Miss(message string) { k.silence = message }

// Silence is what is to be said of that the plugin did not answer when it was last asked;
// empty: it did.
func (k *Knowledge) Silence() string { return k.silence }

// Candidate says whether a list has to ask the plugin.
func (k *Knowledge) Candidate() inturn.Candidate {
	return inturn.Candidate{Must: !k.Complete() || k.silence != "", Heard: k.heard}
}
