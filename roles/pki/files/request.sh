# A new key, staged beside the one in force, and on standard output a request for the name given.
set -eu
umask 077
name=$1
tls=${PKI_TLS:-/etc/heliograph/tls}
mkdir -p "$tls"
rm -f "$tls/node.key.new" "$tls/node.key.part"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$tls/node.key.part"
openssl req -new -key "$tls/node.key.part" -subj "/CN=$name" -addext "subjectAltName=DNS:$name,URI:urn:heliograph:node:$name"
sync "$tls/node.key.part"
mv "$tls/node.key.part" "$tls/node.key.new"
sync "$tls"
