# Prints the certificate that is presented at an address, and what is answered there; both only for the name given.
set -eu
printf 'GET /health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" |
    timeout 10 openssl s_client -ign_eof -connect "$1" -servername "$2" -verify_hostname "$2" -CAfile "$3" -verify_return_error
