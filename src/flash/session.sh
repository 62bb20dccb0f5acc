#!/bin/sh
# What `imagebuild flash` runs where the disk is, on a rescue system, say. It needs what each has:
# a Bourne shell, and dd, sha256sum, head, tr, cat, ls, readlink and stat of GNU or of busybox. It
# reads a command a line, some of them followed by bytes, and answers each with a line. No single
# quote may stand here: the whole stands in a pair.
export LC_ALL=C
disk=$1
say() { printf "%s\n" "$*"; }
fail() { say "failed $*"; exit 1; }
first_line() { printf "%s" "$*" | head -n 1; }

# The largest block that offset $1 and length $2 are multiples of.
block() {
    for unit in 4194304 1048576 65536 4096 512; do
        [ $(($1 % unit)) -ne 0 ] || [ $(($2 % unit)) -ne 0 ] || return 0
    done
    fail "an offset or a length that is no multiple of 512: $1 $2"
}

# Variables are those of the whole script: no function uses one of another.

# A fact of one line, unless it is empty.
fact() {
    fact=$1; shift
    told=$(printf "%s" "$*" | tr -s "[:cntrl:] " " ")
    [ -z "${told# }" ] || say "fact $fact ${told# }"
}
content() { [ ! -r "$1" ] || tr -d "\000" <"$1" 2>/dev/null; }
first() {
    for file in "$@"; do
        text=$(content "$file")
        [ -z "$text" ] || { printf "%s" "$text"; return; }
    done
}

# Of the disk in /sys/class/block/$1.
serial_of() {
    text=$(lsblk -dno SERIAL "/dev/$1" 2>/dev/null)
    [ -n "$text" ] || text=$(first "/sys/class/block/$1/serial" "/sys/class/block/$1/device/serial" \
        "/sys/class/block/$1/wwid" "/sys/class/block/$1/device/wwid")
    printf "%s" "$text" | tr -s "[:cntrl:] " " "
}

# Of a device, who uses it: mounts, swap, and devices on top of it.
users() {
    number=$(cat "/sys/class/block/$1/dev")
    while read -r _ _ major _ place _; do
        [ "$major" != "$number" ] || fact used "$1 is mounted at $place"
    done </proc/self/mountinfo
    # Some file systems have a number of their own: by name.
    while read -r source place _; do
        [ "$source" != "/dev/$1" ] || fact used "$1 is mounted at $place"
    done </proc/mounts
    while read -r source _; do
        [ "$source" != "/dev/$1" ] || fact used "$1 is swap"
    done </proc/swaps
    for holder in "/sys/class/block/$1/holders"/*; do
        [ ! -e "$holder" ] || fact used "$1 is part of ${holder##*/}"
    done
    # Whoever reads this relies on a device having been looked at.
    fact looked-at "$1"
}

# Who has the disk, the file, or one of its partitions open: another machine of this host, say.
openers() {
    ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r line; do
        case $line in
            /proc/*/fd:) process=${line#/proc/}; process=${process%/fd:}; continue ;;
            *" -> $real") ;;
            *" -> $real"[0-9] | *" -> ${real}"[0-9][0-9] | *" -> ${real}p"[0-9]*) [ -b "$disk" ] || continue ;;
            *) continue ;;
        esac
        program=$(content "/proc/$process/comm")
        # udev looks at a disk for a moment, whenever somebody who could write has closed it.
        case $program in *udev*) continue ;; esac
        fact used "process $process ($program) has ${line##* -> } open"
    done
    for loop in /sys/class/block/loop*/loop/backing_file; do
        [ "$(content "$loop")" != "$real" ] || { loop=${loop#/sys/class/block/}; fact used "it is behind ${loop%%/*}"; }
    done
}

describe_device() {
    name=${real##*/}
    sys=/sys/class/block/$name
    [ -d "$sys" ] || fail "$real is not in /sys/class/block"
    [ ! -e "$sys/partition" ] || { fact kind partition; return; }
    fact kind disk
    sectors=$(cat "$sys/size")
    fact size $((sectors * 512))
    fact sector "$(cat "$sys/queue/logical_block_size")"
    fact read-only "$(cat "$sys/ro")"
    serial=$(serial_of "$name")
    fact serial "$serial"
    fact model "$(first "$sys/device/vendor") $(first "$sys/device/model")"
    # Another disk that nobody could tell from it.
    for other in /sys/block/*; do
        [ "${other##*/}" != "$name" ] && [ -e "$other/device" ] || continue
        others=$(serial_of "${other##*/}")
        [ "$others" = "$serial" ] || continue
        [ -n "$serial" ] || [ "$(cat "$other/size")" = "$sectors" ] || continue
        fact alike "${other##*/}"
    done
    users "$name"
    for part in "$sys/$name"*; do
        [ -e "$part/partition" ] || continue
        part=${part##*/}
        fact holds "$part $(lsblk -dno SIZE,FSTYPE,LABEL,PARTLABEL "/dev/$part" 2>/dev/null)"
        users "$part"
    done
    # Only this one asks the kernel for the disk alone.
    case $(blkdiscard --version 2>&1) in *util-linux*) fact exclusive 1 ;; esac
}

describe() {
    real=$(readlink -f "$disk")
    fact machine "$(uname -s) $(uname -m)"
    fact boot "$(content /proc/sys/kernel/random/boot_id)"
    if [ -d /sys/firmware/efi ]; then fact firmware UEFI; else fact firmware BIOS; fi
    for tool in sha256sum head tr cat ls readlink stat; do
        ! command -v "$tool" >/dev/null || say "fact tool $tool"
    done
    # With the words that are used below.
    ! dd if=/dev/null of=/dev/null bs=512 seek=0 count=1 iflag=fullblock conv=notrunc 2>/dev/null || say "fact tool dd"
    [ "$(printf "\050\265\057\375\000\130\031\000\000\141\142\143" | zstd -dcq 2>/dev/null)" != abc ] || say "fact tool zstd"
    fact path "${real:-$disk}"
    if [ -b "$disk" ]; then
        describe_device
    elif [ -f "$disk" ]; then
        fact kind file
        fact size "$(stat -L -c %s "$disk")"
        [ -w "$disk" ] || fact read-only 1
    elif [ -e "$disk" ]; then
        fact kind other
    else
        fact kind missing
    fi
    # Once it is open, that is this process.
    [ -n "$is_open" ] || [ -z "$real" ] || [ ! -e "$real" ] || openers
    say described
}

# One descriptor to the end: a name may come to mean another disk, or nothing, and dd would make
# a file of it.
is_open=
open_disk() {
    # In a shell of its own, which a failure ends.
    said=$( (: <>"$real") 2>&1) || fail "it cannot be written to: $(first_line "$said")"
    exec 9<>"$real"
    # What looks at changed disks by itself, as udev, waits; and so does this: a run whose line was
    # cut may still have commands here.
    tries=0
    while command -v flock >/dev/null && ! flock -n -x 9; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail "the disk is in use: it is locked"
        sleep 1
    done
    is_open=1
    disk=/proc/self/fd/9
    say ok
}

# dd tells what it did on standard error, too; only of a failure is it of interest.
written() { [ "$1" -eq 0 ] || fail "writing at byte $2: $(first_line "$3")"; }

write_zeros() {
    block "$1" "$2"
    said=$(dd if=/dev/zero of="$disk" bs="$unit" seek=$(($1 / unit)) count=$(($2 / unit)) conv=notrunc 2>&1)
    written $? "$1" "$said"
}

# Zeros that cost no transfer, where the disk can do that; those of a file are holes.
erase() {
    if [ -b "$disk" ]; then
        # It opens the disk for itself alone: what the kernel knows of its use counts, too.
        said=$(blkdiscard -z -o "$1" -l "$2" "$disk" 2>&1) || case $said in
            *busy* | *"in use"*) fail "the disk is in use: $(first_line "$said")" ;;
            *) write_zeros "$1" "$2" ;;
        esac
    else
        fallocate -p -o "$1" -l "$2" "$disk" 2>/dev/null || write_zeros "$1" "$2"
    fi
    say ok
}

write() {
    block "$1" "$2"
    said=$(dd of="$disk" bs="$unit" seek=$(($1 / unit)) count=$(($2 / unit)) iflag=fullblock conv=notrunc 2>&1)
    written $? "$1" "$said"
    say ok
}

# As above, from $3 bytes of zstd, whose failure the last of the pipe does not see.
unpack() {
    block "$1" "$2"
    said=$({
        { dd bs="$3" count=1 iflag=fullblock 2>/dev/null | zstd -dcq || say "zstd failed" >&3; } 2>&3 |
            dd of="$disk" bs="$unit" seek=$(($1 / unit)) count=$(($2 / unit)) iflag=fullblock conv=notrunc 2>&3
    } 3>&1)
    written $? "$1" "$said"
    case $said in *"zstd failed"*) fail "unpacking at byte $1: $(first_line "$said")" ;; esac
    say ok
}

# Without a count: with count=0, coreutils before 9.1 leave the fsync out.
flush() {
    said=$(dd if=/dev/null of="$disk" conv=notrunc,fsync 2>&1) || fail "flushing the disk: $(first_line "$said")"
    say ok
}

# Past the cache: what the disk itself gives. Where that cannot be, the cache is emptied.
direct=iflag=direct
look_past_the_cache() {
    dd if="$disk" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null && { say ok direct; return; }
    direct=
    if blockdev --flushbufs "$disk" 2>/dev/null || echo 1 2>/dev/null >/proc/sys/vm/drop_caches; then
        say ok emptied
    else
        say ok cached
    fi
}

# Of whole blocks, of which what is too much is cut off.
digest() {
    block "$1" 0
    [ "$unit" -le 1048576 ] || unit=1048576
    said=$({
        dd if="$disk" bs="$unit" skip=$(($1 / unit)) count=$((($2 + unit - 1) / unit)) ${direct:+"$direct"} 2>&3 |
            head -c "$2" | sha256sum | {
            # On a line by itself, wherever dd is in its own.
            read -r sum _
            printf "\n%s\n" "$sum"
        }
    } 3>&1)
    case $said in *rror*) fail "reading at byte $1: $(first_line "$said")" ;; esac
    sum=
    for word in $said; do [ ${#word} -ne 64 ] || sum=$word; done
    say "ok $sum"
}

# A login shell may have left a line open.
say ""
say ready
while read -r command offset length more; do
    case $command in
    describe) describe ;;
    open) open_disk ;;
    erase) erase "$offset" "$length" ;;
    write) write "$offset" "$length" ;;
    unpack) unpack "$offset" "$length" "$more" ;;
    flush) flush ;;
    look-past-the-cache) look_past_the_cache ;;
    digest) digest "$offset" "$length" ;;
    restart)
        say ok
        (sleep 1; reboot || reboot -f) >/dev/null 2>&1 &
        exit 0
        ;;
    *) fail "there is no command $command" ;;
    esac
done
