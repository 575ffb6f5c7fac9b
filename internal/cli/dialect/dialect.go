// Package dialect knows the words that other container tools have, Docker and Podman
// above all, for what Patchbay calls otherwise, or why it has no such thing.
package dialect

import "strings"

// Command says what is here in place of a command of another tool, whose path is relative to the
// program, like "rmi" or "network reload"; "" where it is no word of theirs. Commands of
// Patchbay are in quotes.
func Command(path string) string { return Commands()[strings.TrimPrefix(path, "container ")] }

// Flag says what is here in place of a flag that other tools have for a command, both
// without dashes, like "run" and "ip", or a letter; "" where it is none of theirs. Flags and commands of Patchbay
// are in quotes.
func Flag(command, name string) string {
	command = strings.TrimPrefix(command, "container ")
	if command == "create" {
		command = "run"
	}
	return Flags()[command][name]
}

const (
	noBuilding = `images are built by other tools; "patchbay image load" takes what they save, "patchbay image import" a root file system`
	noVolumes  = `there are no named volumes; "patchbay run --volume" mounts a directory of the host`
	noRenaming = `a container keeps its name; "patchbay run --network" with alias=NAME gives it further ones on a network`
	noDisk     = `"patchbay image list" shows the size of images`
	noGroups   = `containers are grouped by labels and networks: "patchbay run --label" and "patchbay network create --file"`
)

// Commands are all that Command knows. The tables are made when they are asked for: no command
// line that is right pays for them.
func Commands() map[string]string {
	return map[string]string{
		"rmi":            `it is "patchbay image delete"`,
		"login":          `it is "patchbay registry login"`,
		"logout":         `it is "patchbay registry logout"`,
		"tag":            `it is "patchbay image tag"`,
		"save":           `it is "patchbay image save"`,
		"load":           `it is "patchbay image load"`,
		"import":         `it is "patchbay image import"`,
		"events":         `it is "patchbay system events"`,
		"info":           `it is "patchbay system info"`,
		"prune":          `it is "patchbay container prune", "patchbay image prune" and "patchbay network prune"`,
		"system prune":   `it is "patchbay container prune", "patchbay image prune" and "patchbay network prune"`,
		"top":            `"patchbay stats" shows what containers use, and "patchbay exec" runs a ps of the image`,
		"update":         `limits are those that a container was created with; "patchbay network update" changes a network`,
		"rename":         noRenaming,
		"pause":          `containers are not frozen; "patchbay kill --signal STOP" stops the main process`,
		"unpause":        `containers are not frozen; "patchbay kill --signal CONT" lets the main process go on`,
		"build":          noBuilding,
		"commit":         noBuilding,
		"image build":    noBuilding,
		"buildx":         noBuilding,
		"builder":        noBuilding,
		"export":         `"patchbay cp" copies directories out of a container`,
		"diff":           `"patchbay cp" copies directories out of a container, to be compared`,
		"history":        `"patchbay image inspect" shows what an image is made of`,
		"image history":  `"patchbay image inspect" shows what an image is made of`,
		"search":         `registries are searched by their own pages; "patchbay pull" fetches by name`,
		"volume":         noVolumes,
		"pod":            noGroups,
		"compose":        noGroups,
		"stack":          noGroups,
		"swarm":          `a patchbayd serves one host`,
		"service":        `a patchbayd serves one host`,
		"node":           `a patchbayd serves one host`,
		"context":        `"patchbay --run-root" says which patchbayd is meant`,
		"system df":      noDisk,
		"network reload": `rules that somebody has taken away are put back without being asked; "patchbay network check" shows what is missing`,
		"network attach": `it is "patchbay network connect"`,
		"network detach": `it is "patchbay network disconnect"`,
	}
}

const (
	noRestart = `whoever wants a container started again does it, like systemd with "patchbay start --attach"`
	noHealth  = `there are no health checks; "patchbay exec" asks a container`
	noFilter  = `"--format" json shows everything, for other programs to choose from`
	noPart    = `"--format" json shows everything, for other programs to take a part of`
	volumesGo = `volumes of a container go with it`
	noSharing = `a container has namespaces of its own; "patchbay network connect" plugs two into one network`
)

// Flags are all that Flag knows, by command and name. Those of run are those of create too.
func Flags() map[string]map[string]string {
	return map[string]map[string]string{
		"run":             flagsOfRun(),
		"list":            {"filter": noFilter, "f": noFilter, "size": noDisk, "s": noDisk},
		"delete":          {"volumes": volumesGo, "v": volumesGo},
		"stop":            {"time": `it is "--timeout"`},
		"restart":         {"time": `it is "--timeout"`},
		"inspect":         {"f": noPart, "type": `"patchbay image inspect" and "patchbay network inspect" show others`},
		"network list":    {"filter": noFilter, "f": noFilter},
		"network inspect": {"f": noPart},
		"image list":      {"filter": noFilter, "f": noFilter, "all": `images have no parts that are images`, "a": `images have no parts that are images`},
		"image inspect":   {"f": noPart},
		"network create": {
			"driver":         `it is "--plugin"`,
			"d":              `it is "--plugin"`,
			"opt":            `it is "--option"`,
			"gateway":        `the gateway is the first address of "--subnet" and "--subnet-v6"`,
			"ip-range":       `what is not to be given is "--reserve"`,
			"aux-address":    `it is "--reserve"`,
			"attachable":     `all containers of the host can be plugged into any network`,
			"disable-dns":    `names are known on all networks; "--dns" says who else is asked`,
			"ipam-driver":    `it is the plugin that gives addresses: "--plugin"`,
			"ipam-opt":       `it is the plugin that gives addresses: "--option"`,
			"scope":          `networks are those of one host`,
			"ingress":        `networks are those of one host`,
			"interface-name": `bridges have names of their own; "patchbay network inspect" shows them`,
		},
		"network connect": {
			"ip":          `it is "patchbay network connect" NETWORK,ip=ADDRESS CONTAINER`,
			"ip6":         `it is "patchbay network connect" NETWORK,ip6=ADDRESS CONTAINER`,
			"alias":       `it is "patchbay network connect" NETWORK,alias=NAME CONTAINER`,
			"mac-address": `it is "patchbay network connect" NETWORK,mac=ADDRESS CONTAINER`,
			"gw-priority": `it is "patchbay network connect" NETWORK,gateway-priority=NUMBER CONTAINER`,
			"link":        `containers on one network know each other by name; a further one is "patchbay network connect" NETWORK,alias=NAME CONTAINER`,
		},
	}
}

func flagsOfRun() map[string]string {
	return map[string]string{
		"net":                 `it is "--network"`,
		"ip":                  `it is "--network" NAME,ip=ADDRESS`,
		"ip6":                 `it is "--network" NAME,ip6=ADDRESS`,
		"mac-address":         `it is "--network" NAME,mac=ADDRESS`,
		"network-alias":       `it is "--network" NAME,alias=NAME`,
		"net-alias":           `it is "--network" NAME,alias=NAME`,
		"link":                `containers on one network know each other by name; a further one is "--network" NAME,alias=NAME`,
		"expose":              `all ports are open to who shares a network; "--publish" opens them on the host`,
		"sysctl":              `it is "--network" NAME,sysctl=KEY=VALUE, for an interface`,
		"privileged":          `there are no containers without bounds; "--cap-add" gives capabilities`,
		"security-opt":        `it cannot be weakened; "--cap-add" and "--cap-drop" set capabilities`,
		"pid":                 noSharing,
		"ipc":                 noSharing,
		"uts":                 noSharing,
		"userns":              noSharing,
		"pod":                 noGroups,
		"cgroupns":            noSharing,
		"restart":             noRestart,
		"health-cmd":          noHealth,
		"health-interval":     noHealth,
		"health-retries":      noHealth,
		"health-start-period": noHealth,
		"health-timeout":      noHealth,
		"no-healthcheck":      noHealth,
		"cidfile":             `"--detach" shows the id`,
		"cpu-shares":          `it is "--cpus", the most that it may have`,
		"cpu-quota":           `it is "--cpus"`,
		"cpuset-cpus":         `it is "--cpus", on any processors`,
		"ulimit":              `the limits that there are: "--memory", "--cpus" and "--pids-limit"`,
		"shm-size":            `it is "--mount" type=tmpfs,target=/dev/shm,tmpfs-size=SIZE`,
		"log-driver":          `there is one log, which "patchbay logs" shows; "--log-opt" bounds it`,
		"domainname":          `it is part of "--hostname"`,
		"attach":              `without "--detach" output comes, and with "--interactive" input goes`,
		"annotation":          `it is "--label"`,
		"cgroup-parent":       `control groups are made where patchbayd may; "--memory", "--cpus" and "--pids-limit" bound them`,
		"cpu-period":          `it is "--cpus"`,
		"quiet":               `what is shown goes to standard error, the id to standard output`,
		"replace":             `"patchbay delete --force" goes before`,
		"sig-proxy":           `signals are passed on`,
		"group-add":           `it is "--user" NAME:GROUP, and the groups that the image gives that user`,
		"volumes-from":        noVolumes,
		"gpus":                `devices of the host are not passed on`,
		"device":              `devices of the host are not passed on`,
	}
}
