# Brings the frames here that were archived since a backup was made: no row of it knows them, but each carries its own.
# KIND, HOST, PORT, LOGIN, FOLDER: the target; NAME: what it is called; NODE: whose frames; SINCE: seconds since 1970.
set -eu
umask 077
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find="find frames -type f -name '*.jpg' -newermt @$SINCE -print0"
shell="ssh -F none -p $PORT -o BatchMode=yes -o ConnectTimeout=20 -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"
shell="$shell -o GlobalKnownHostsFile=none -o UserKnownHostsFile=/etc/heliograph/keys/$NAME-known-hosts"
shell="$shell -i /etc/heliograph/keys/$NAME"
case "$KIND" in
rsync)
  # shellcheck disable=SC2086 # one word an option
  $shell "$LOGIN@$HOST" "cd '$FOLDER/$NODE' && $find" > "$list"
  case "$HOST" in *:*) HOST="[$HOST]" ;; esac
  from="$LOGIN@$HOST:$FOLDER/$NODE/"
  ;;
directory)
  (cd "$FOLDER/$NODE" && sh -c "$find") > "$list"
  from="$FOLDER/$NODE/"
  ;;
esac
test -s "$list" || exit 0
rsync --from0 --files-from="$list" --times --ignore-existing --chown=heliograph:heliograph --chmod=D700,F600 \
  --rsh="$shell" --info=stats1 "$from" /var/lib/heliograph/
