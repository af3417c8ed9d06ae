# The commands that people type: mb, cp, sync, ls, mv, rm.
set -eu
bucket=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
aws() { python3 -m awscli "$@"; }
mkdir -p "$work/in/sub"
printf 'one\n' > "$work/in/one.txt"
printf 'two\n' > "$work/in/sub/two words.txt"
head -c 20000000 /dev/urandom > "$work/in/big.bin"
aws s3 mb "s3://$bucket" > /dev/null
aws s3 sync --quiet "$work/in" "s3://$bucket/in"
test -z "$(aws s3 sync "$work/in" "s3://$bucket/in")"
aws s3 ls --recursive "s3://$bucket" | grep -q 'in/sub/two words.txt'
aws s3 cp --quiet --recursive "s3://$bucket/in" "$work/out"
diff -r "$work/in" "$work/out"
aws s3 mv --quiet "s3://$bucket/in/one.txt" "s3://$bucket/moved.txt"
test "$(aws s3 cp "s3://$bucket/moved.txt" -)" = one
aws s3 rm --quiet --recursive "s3://$bucket/in"
test "$(aws s3 ls --recursive "s3://$bucket" | wc -l)" = 1
echo 'awscli: all as expected'
