# What `imagebuild flash` runs where the disk is, on a rescue system, say. It needs what each has:
# sh, dd, sha256sum and coreutils of GNU or of busybox. It reads a command a line, some of them followed by
# bytes, and answers each with a line. No single quote may stand here: the whole stands in a pair.
export LC_ALL=C
disk=$1
say() { printf "%s\n" "$*"; }
fail() { say "failed $*"; exit 1; }

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

describe_device() {
    name=${real##*/}
    sys=/sys/class/block/$name
    [ -d "$sys" ] || fail "$real is not in /sys/class/block"
    [ ! -e "$sys/partition" ] || { fact kind partition; return; }
    fact kind disk
    fact size $(($(cat "$sys/size") * 512))
    fact sector "$(cat "$sys/queue/logical_block_size")"
    fact read-only "$(cat "$sys/ro")"
    serial=$(lsblk -dno SERIAL "$real" 2>/dev/null)
    [ -n "$serial" ] || serial=$(first "$sys/serial" "$sys/device/serial" "$sys/wwid" "$sys/device/wwid")
    fact serial "$serial"
    fact model "$(first "$sys/device/vendor") $(first "$sys/device/model")"
    users "$name"
    for part in "$sys/$name"*; do
        [ -e "$part/partition" ] || continue
        part=${part##*/}
        fact holds "$part $(lsblk -dno SIZE,FSTYPE,LABEL,PARTLABEL "/dev/$part" 2>/dev/null)"
        users "$part"
    done
}

describe() {
    real=$(readlink -f "$disk")
    fact machine "$(uname -s) $(uname -m)"
    fact user "$(id -u)"
    if [ -d /sys/firmware/efi ]; then fact firmware UEFI; else fact firmware BIOS; fi
    for tool in dd sha256sum head zstd; do
        ! command -v "$tool" >/dev/null || fact tool "$tool"
    done
    fact path "$real"
    if [ -b "$disk" ]; then
        describe_device
    elif [ -f "$disk" ]; then
        fact kind file
        fact size "$(stat -c %s "$disk")"
        [ -w "$disk" ] || fact read-only 1
    elif [ -e "$disk" ]; then
        fact kind other
    else
        fact kind missing
    fi
    # Not what a test of bits says of root. In a shell of its own, which a failure may end.
    [ ! -e "$disk" ] || (: <>"$disk") 2>/dev/null || fact denied 1
    say described
}

# dd tells what it did on standard error, too; only of a failure is it of interest.
written() { [ "$1" -eq 0 ] || fail "writing at byte $2: $(printf "%s" "$3" | head -n 1)"; }

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
            *busy* | *"in use"*) fail "the disk is in use: $said" ;;
            *) write_zeros "$1" "$2" ;;
        esac
    else
        fallocate -p -o "$1" -l "$2" "$disk" 2>/dev/null || write_zeros "$1" "$2"
    fi
    say done
}

write() {
    block "$1" "$2"
    said=$(dd of="$disk" bs="$unit" seek=$(($1 / unit)) count=$(($2 / unit)) iflag=fullblock conv=notrunc 2>&1)
    written $? "$1" "$said"
    say done
}

# As above, from $3 bytes of zstd.
unpack() {
    block "$1" "$2"
    said=$(dd bs="$3" count=1 iflag=fullblock 2>/dev/null | zstd -dcq |
        dd of="$disk" bs="$unit" seek=$(($1 / unit)) count=$(($2 / unit)) iflag=fullblock conv=notrunc 2>&1)
    written $? "$1" "$said"
    say done
}

flush() {
    said=$(dd if=/dev/null of="$disk" count=0 conv=notrunc,fsync 2>&1) || fail "flushing the disk: $said"
    say done
}

# Past the cache: what the disk itself gives. Where that cannot be, the cache is emptied.
direct=iflag=direct
look_past_the_cache() {
    dd if="$disk" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null && { say done direct; return; }
    direct=
    if blockdev --flushbufs "$disk" 2>/dev/null || echo 1 2>/dev/null >/proc/sys/vm/drop_caches; then
        say done emptied
    else
        say done cached
    fi
}

digest() {
    # Whole blocks are read, and what is too much is cut off.
    block "$1" 0
    [ "$unit" -le 1048576 ] || unit=1048576
    sum=$(dd if="$disk" bs="$unit" skip=$(($1 / unit)) count=$((($2 + unit - 1) / unit)) ${direct:+"$direct"} 2>/dev/null |
        head -c "$2" | sha256sum)
    say "done ${sum%% *}"
}

say ready
while read -r command offset length more; do
    case $command in
    describe) describe ;;
    erase) erase "$offset" "$length" ;;
    write) write "$offset" "$length" ;;
    unpack) unpack "$offset" "$length" "$more" ;;
    flush) flush ;;
    look-past-the-cache) look_past_the_cache ;;
    digest) digest "$offset" "$length" ;;
    restart)
        say done
        (sleep 1; reboot || reboot -f) >/dev/null 2>&1 &
        exit 0
        ;;
    *) fail "there is no command $command" ;;
    esac
done
