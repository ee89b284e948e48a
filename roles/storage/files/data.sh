# The disk is there, and nothing that matters would lie hidden below it.
mountpoint -q "$2" && exit 0
if ! test -e "$1"; then
  echo "no disk $1: plug it in, or correct storage_data_uuid (lsblk -o NAME,UUID)" >&2
  exit 1
fi
if test -d "$2" && test -n "$(ls -A "$2")"; then
  echo "$2 holds data on the card: stop the node, move it onto the disk, then run again" >&2
  exit 1
fi
