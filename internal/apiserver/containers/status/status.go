// Package status says what is true of a container.
package status

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Ended is the status of a container that does not run.
func Ended(last *disk.Exit) resource.ContainerStatus {
	if last == nil {
		return resource.ContainerStatus{State: resource.ContainerCreated}
	}
	return resource.ContainerStatus{
		State: resource.ContainerStopped, Message: last.Message,
		StartedAt: last.StartedAt, ExitedAt: last.ExitedAt,
		ExitCode: last.Code, OutOfMemory: last.OutOfMemory,
	}
}

// Last says how a run ended whose helper has: as that wrote it in its directory, else
// that it died. The helper's process is nil if nobody saw it.
func Last(h runtimehelper.Helper, directory string) *disk.Exit {
	if written := disk.ReadExit(directory); written != nil {
		return written
	}
	words := ""
	if h.Process != nil {
		words = h.Process.StderrTail()
	}
	died := disk.HelperDied(words)
	return &died
}

// IsOver reports whether a run has ended, in whose directory its helper writes how. The
// helper's process is nil if nobody saw it.
func IsOver(h runtimehelper.Helper, directory string) bool {
	if disk.ReadExit(directory) != nil {
		return true
	}
	if h.Process == nil {
		return false
	}
	select {
	case <-h.Process.Done():
		return true
	default:
		return false
	}
}

// Count returns how many of the containers run and how many do not.
func Count(containers []resource.Container) (running, stopped int) {
	for _, c := range containers {
		if HasEnded(c.Status.State) {
			stopped++
		} else {
			running++
		}
	}
	return running, stopped
}

// Ask completes what is known of a container that runs by what its helper says,
// or by what a helper that has ended left in its directory.
func Ask(ctx context.Context, h runtimehelper.Helper, directory string, known resource.ContainerStatus) resource.ContainerStatus {
	answer, err := h.Client.State(ctx, &sandboxv1.StateRequest{})
	if err == nil {
		return answered(known, answer)
	}
	if written := disk.ReadExit(directory); written != nil {
		return Ended(written)
	}
	select {
	case <-h.Process.Done():
		return Ended(Last(h, directory))
	default:
		known.Message = resource.HelperSilent
		return known
	}
}

// answered completes a status by what the helper says.
func answered(status resource.ContainerStatus, answer *sandboxv1.StateResponse) resource.ContainerStatus {
	if end := endOf(answer); end != nil {
		ended := Ended(end)
		ended.StartedAt = status.StartedAt
		return ended
	}
	status.PID, status.Message = int(answer.GetPid()), ""
	status.Faults, status.Machine = answer.GetFaults(), wire.MachineFromProto(answer.GetMachine())
	if attachments, err := wire.AttachmentsFromProto(answer.GetAttachments()); err == nil {
		status.Attachments = attachments
	} else {
		status.Faults = append(status.Faults, err.Error())
	}
	if answer.GetStartedAt() != nil {
		status.StartedAt = answer.GetStartedAt().AsTime()
	}
	return status
}

// HasEnded reports whether nothing of a container runs or is about to.
func HasEnded(state resource.ContainerState) bool {
	return state == resource.ContainerCreated || state == resource.ContainerStopped
}

// endOf returns how the main process ended, if a state says that it has.
func endOf(state *sandboxv1.StateResponse) *disk.Exit {
	exit := state.GetExit()
	if state.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_STOPPED || exit == nil {
		return nil
	}
	return &disk.Exit{
		Code: int(exit.GetCode()), ExitedAt: exit.GetExitedAt().AsTime(),
		OutOfMemory: exit.GetOutOfMemory(), Message: exit.GetMessage(),
	}
}
